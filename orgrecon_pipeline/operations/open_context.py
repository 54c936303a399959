"""From settings to something that operations can work on."""

from __future__ import annotations

from orgrecon_pipeline.config.mapping_file import load_mapping
from orgrecon_pipeline.config.settings import Settings
from orgrecon_pipeline.ledger.open import open_ledger
from orgrecon_pipeline.operations.clock import SIMULATED_NOW_VARIABLE, clock_of
from orgrecon_pipeline.operations.context import Context


def open_work(settings: Settings) -> Context:
    """Mapping, ledger, audit directory and clock of the settings.

    Raises:
        ConfigurationError: when one of them cannot be used.
    """
    return Context(
        mapping=load_mapping(settings.mapping_file, settings.environ),
        ledger=open_ledger(settings.ledger_url),
        output_dir=settings.output_dir,
        clock=clock_of(settings.environ.get(SIMULATED_NOW_VARIABLE)),
        environ=settings.environ,
    )
