"""What the assets work with, configured from the environment and swapped in tests."""

from __future__ import annotations

import os
from pathlib import Path

import dagster as dg
from pydantic import Field

from orgrecon_pipeline.config.mapping_file import load_mapping
from orgrecon_pipeline.config.settings import DEFAULT_LEDGER_URL, DEFAULT_OUTPUT_DIR
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline.ledger.opening import open_ledger
from orgrecon_pipeline.operations.context import SOURCE_VARIABLE, TARGET_VARIABLE, Context
from orgrecon_pipeline.operations.opening import clock_of


class SourceResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The databases that are compared, and the mapping that says how. Given as ``EnvVar``: the UI shows its name."""

    database_url: str | None = Field(default=None, repr=False)
    target_database_url: str | None = Field(default=None, repr=False)
    mapping_file: str | None = None


class LedgerResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Where the evidence is kept."""

    url: str = Field(default=DEFAULT_LEDGER_URL, repr=False)

    def open(self) -> Ledger:
        """The ledger, created and migrated where need be."""
        return open_ledger(self.url)


class AuditDirectory(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The directory of the committed audit trail."""

    path: str = DEFAULT_OUTPUT_DIR


class ClockResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The clock. ``simulated_now_file`` names a file with a moment (ISO 8601, UTC) that stands for now; it counts
    only for databases that are marked as simulated."""

    simulated_now_file: str | None = None



def open_context(
    source: SourceResource, ledger: LedgerResource, audit_directory: AuditDirectory, clock: ClockResource
) -> Context:
    """Everything an operation needs, opened."""
    named = {SOURCE_VARIABLE: source.database_url, TARGET_VARIABLE: source.target_database_url}
    return Context(
        mapping=load_mapping(source.mapping_file, {}),
        ledger=ledger.open(),
        output_dir=Path(audit_directory.path),
        clock=clock_of(clock.simulated_now_file),
        environ={**os.environ, **{name: url for name, url in named.items() if url}},
    )
