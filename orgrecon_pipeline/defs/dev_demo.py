"""Demo company for ``dagster dev`` in a clone without any configuration.

It is used only if ``dagster dev`` is running and no variable names a database, ledger or mapping. A cluster with a
missing secret therefore gets an error, not a demo. The database is marked as simulated, and so is all its evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, time, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from orgrecon_pipeline.config.mapping_file import default_mapping
from orgrecon_pipeline.domain.days import days_ending
from orgrecon_pipeline.domain.mapping.model import MappingConfig
from orgrecon_pipeline.file_lock import FileLock
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline.operations.clock import Clock
from orgrecon_pipeline.operations.context import SOURCE_VARIABLE, Context
from orgrecon_pipeline.operations.observe.observe import observe

if TYPE_CHECKING:
    from orgrecon_pipeline.demo.server import EmbeddedServer

DIRECTORY = Path(".orgrecon/dagster-dev")
DEMO_NOTICE = ("DATABASE_URL IS NOT SET: an embedded demo company is compared instead, and all of its evidence is "
               "marked as simulated. Set DATABASE_URL to compare your own database.")
_CONFIGURATION = ("DATABASE_URL", "ORGRECON_LEDGER_URL", "ORGRECON_MAPPING", "ORGRECON_OUTPUT_DIR",
                  "ORGRECON_SIMULATED_NOW_FILE")
_DATABASE = "company"
_HISTORY_DAYS = 6
_SETTLE_SECONDS = 1.0

# One handle per process: the server stops when the last process that holds a handle ends.
_servers: dict[Path, EmbeddedServer] = {}


def dev_demo_enabled(environ: Mapping[str, str]) -> bool:
    """Return whether ``dagster dev`` is running without any configuration of orgrecon."""
    return bool(environ.get("DAGSTER_IS_DEV_CLI")) and not any(environ.get(name) for name in _CONFIGURATION)


def demo_mapping() -> MappingConfig:
    """Return the packaged default mapping with a shorter recheck: the demo has no dual writer that lags."""
    mapping = default_mapping()
    scan = mapping.scan.model_copy(update={"settle_seconds": _SETTLE_SECONDS, "rechecks": 1})
    return mapping.model_copy(update={"scan": scan})


def start_demo(
    directory: Path, mapping: MappingConfig, ledger: Ledger, reports: Path, warn: Callable[[str], object]
) -> str:
    """Start the demo's database, with six days of history, and return its DSN.

    The ledger receives the history if the database is new, and ``warn`` the notice that a demo is compared.

    Raises:
        ConfigurationError: if the embedded PostgreSQL is not installed (extra ``demo``) or does not start.
    """
    from orgrecon_pipeline.demo.server import EmbeddedServer

    warn(DEMO_NOTICE)
    directory = directory.absolute()
    directory.mkdir(parents=True, exist_ok=True)
    if directory not in _servers:
        _servers[directory] = EmbeddedServer(directory / "postgres")
    server = _servers[directory]
    seeded = directory / "seeded"
    with FileLock(directory / "seed.lock"):
        if not seeded.exists():
            server.drop_database(_DATABASE)  # left by an interrupted attempt
            _seed(server.create_database(_DATABASE), mapping, ledger, reports)
            seeded.touch()
    return server.dsn(_DATABASE)


def _seed(dsn: str, mapping: MappingConfig, ledger: Ledger, reports: Path) -> None:
    # Six clean days, whose reports Dagster renders, then drift.
    import psycopg

    from orgrecon_pipeline.demo.company import create_company
    from orgrecon_pipeline.demo.faults import Fault, inject

    with psycopg.connect(dsn, autocommit=True) as connection:
        company = create_company(connection)
        yesterday = datetime.now(timezone.utc).date() - timedelta(days=1)
        for day in days_ending(yesterday, _HISTORY_DAYS):
            clock = Clock.at(datetime.combine(day, time(8), timezone.utc))
            if ledger.deciding(day, mapping.gate.same_day) is None:
                observe(Context(mapping, ledger, reports, clock, {SOURCE_VARIABLE: dsn}), day)
        drifting = company.tenants[1:4]
        inject(connection, Fault.MISSING_MEMBERSHIP, count=5, tenants=drifting)
        inject(connection, Fault.RENAMED_UNIT, count=2, tenants=drifting)
