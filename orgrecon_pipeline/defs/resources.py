"""What the assets work with, configured from the environment and swapped in tests."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import dagster as dg
from pydantic import Field

from orgrecon_pipeline.config.mapping_file import load_mapping
from orgrecon_pipeline.config.settings import DEFAULT_LEDGER_URL, DEFAULT_OUTPUT_DIR
from orgrecon_pipeline.defs.dev_demo import demo_mapping, stand_in
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline.ledger.open import open_ledger
from orgrecon_pipeline.notify.dispatch import tell
from orgrecon_pipeline.notify.events import Event
from orgrecon_pipeline.notify.notifier import Notifier
from orgrecon_pipeline.operations.clock import Clock, clock_of
from orgrecon_pipeline.operations.context import SOURCE_VARIABLE, TARGET_VARIABLE, Context


class SourceResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The databases that are compared, and the mapping that says how. Given as ``EnvVar``: the UI shows its name.

    ``demo_directory`` stands for an embedded demo company, started when it is first needed.
    """

    database_url: str | None = Field(default=None, repr=False)
    target_database_url: str | None = Field(default=None, repr=False)
    mapping_file: str | None = None
    demo_directory: str | None = None


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

    def open(self) -> Clock:
        """The clock itself."""
        return clock_of(self.simulated_now_file)


class NotifierResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Who is told. A channel that does not take a message is logged, and never fails what it was about."""

    urls: str = Field(default="", repr=False)
    report_base_url: str = ""

    def tell(self, work: Context) -> list[str]:
        """Tell every channel what changed since it was told last; returns one sanitised line for each that did not
        take it, and is told again the next time.

        Raises:
            OrgreconError: when the ledger cannot be read or written, or somebody else is telling for long.
        """
        return tell(work, Notifier(self.urls), link_base=self.report_base_url)

    def send(self, event: Event) -> list[str]:
        """Tell every channel; returns one sanitised line for each that did not take it."""
        return Notifier(self.urls).send([event])


def open_context(
    source: SourceResource, ledger: LedgerResource, audit_directory: AuditDirectory, clock: ClockResource,
    say: Callable[[str], object] = lambda line: None,
) -> Context:
    """Everything an operation needs, opened. ``say`` is told, loudly, when a demo stands in for a database."""
    named = {SOURCE_VARIABLE: source.database_url, TARGET_VARIABLE: source.target_database_url}
    held = ledger.open()
    directory = Path(audit_directory.path)
    if source.demo_directory:
        mapping = demo_mapping()
        named[SOURCE_VARIABLE] = stand_in(Path(source.demo_directory), mapping, held, directory, say)
    else:
        mapping = load_mapping(source.mapping_file, {})
    return Context(
        mapping=mapping,
        ledger=held,
        output_dir=directory,
        clock=clock.open(),
        environ={**os.environ, **{name: url for name, url in named.items() if url}},
    )
