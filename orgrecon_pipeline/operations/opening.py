"""From settings to something that operations can work on."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

from orgrecon_pipeline.config.mapping_file import load_mapping
from orgrecon_pipeline.config.settings import Settings
from orgrecon_pipeline.domain.errors import ConfigurationError
from orgrecon_pipeline.ledger.opening import open_ledger
from orgrecon_pipeline.operations.clock import Clock
from orgrecon_pipeline.operations.context import Context

SIMULATED_NOW_VARIABLE = "ORGRECON_SIMULATED_NOW_FILE"


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


def clock_of(simulated_now_file: str | None) -> Clock:
    """This machine's clock, or the moment in a file (ISO 8601), read anew whenever the time is asked.

    Raises:
        ConfigurationError: when the file holds no moment.
    """
    if not simulated_now_file:
        return Clock()
    path = Path(simulated_now_file)
    _moment(path)
    return Clock(lambda: _moment(path), injected=True)


def _moment(path: Path) -> datetime:
    try:
        text = path.read_text(encoding="ascii").strip()
        moment = datetime.fromisoformat(text.removesuffix("Z") + "+00:00" * text.endswith("Z"))
    except (OSError, ValueError):
        raise ConfigurationError(
            f"{SIMULATED_NOW_VARIABLE}: {path} does not hold a moment such as 2026-01-31T08:00:00+00:00."
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
