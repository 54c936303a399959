"""A demo company for ``dagster dev`` on a clone without any configuration.

Only where ``dagster dev`` itself says that it runs, and nothing says where a database or ledger is: a cluster whose
secret is missing gets an error, never a demo. Ledger, reports and server live in a directory of their own, and the
database is marked, so that all evidence of it is *simulated*.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, time, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from orgrecon_pipeline.config.mapping_file import default_mapping
from orgrecon_pipeline.domain.days import days_ending
from orgrecon_pipeline.domain.mapping import MappingConfig
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline.operations.clock import Clock
from orgrecon_pipeline.operations.context import SOURCE_VARIABLE, Context
from orgrecon_pipeline.operations.observe.observe import observe

if TYPE_CHECKING:
    from orgrecon_pipeline.demo.server import EmbeddedServer

DIRECTORY = Path(".orgrecon/dagster-dev")
LOUD = ("DATABASE_URL IS NOT SET: an embedded demo company stands in for it, and all of its evidence is marked as "
        "simulated. Set DATABASE_URL to compare a database of yours.")

_UNSET = ("DATABASE_URL", "ORGRECON_LEDGER_URL", "ORGRECON_MAPPING", "ORGRECON_OUTPUT_DIR",
          "ORGRECON_SIMULATED_NOW_FILE")
_DATABASE = "company"
_HISTORY_DAYS = 6
_SETTLE_SECONDS = 1.0

# One handle a process: the server stops with the last process that holds one.
_servers: dict[Path, EmbeddedServer] = {}


def demo_wanted(environ: Mapping[str, str]) -> bool:
    """Whether this is ``dagster dev`` without any configuration of ours."""
    return bool(environ.get("DAGSTER_IS_DEV_CLI")) and not any(environ.get(name) for name in _UNSET)


def demo_mapping() -> MappingConfig:
    """The packaged default, in less of a hurry to wait for a dual writer that is not there."""
    mapping = default_mapping()
    scan = mapping.scan.model_copy(update={"settle_seconds": _SETTLE_SECONDS, "rechecks": 1})
    return mapping.model_copy(update={"scan": scan})


def stand_in(
    directory: Path, mapping: MappingConfig, ledger: Ledger, reports: Path, say: Callable[[str], object]
) -> str:
    """The DSN of the demo's database, seeded with a week of history when there is none yet.

    Raises:
        ConfigurationError: when the embedded PostgreSQL is not installed (extra ``demo``) or does not start.
    """
    from filelock import FileLock

    from orgrecon_pipeline.demo.server import EmbeddedServer

    say(LOUD)
    directory = directory.absolute()
    directory.mkdir(parents=True, exist_ok=True)
    if directory not in _servers:
        _servers[directory] = EmbeddedServer(directory / "postgres")
    server = _servers[directory]
    seeded = directory / "seeded"
    with FileLock(directory / "seed.lock"):
        if not seeded.exists():
            server.drop_database(_DATABASE)  # of an attempt that was interrupted
            _seed(server.create_database(_DATABASE), mapping, ledger, reports)
            seeded.touch()
    return server.dsn(_DATABASE)


def _seed(dsn: str, mapping: MappingConfig, ledger: Ledger, reports: Path) -> None:
    """Six clean days, of which Dagster renders the reports, and drift from today on."""
    import psycopg

    from orgrecon_pipeline.demo.company import create_schema, mark_simulated, seed
    from orgrecon_pipeline.demo.drift import Fault, inject

    with psycopg.connect(dsn, autocommit=True) as connection:
        create_schema(connection)
        mark_simulated(connection)
        company = seed(connection)
        yesterday = datetime.now(timezone.utc).date() - timedelta(days=1)
        for day in days_ending(yesterday, _HISTORY_DAYS):
            clock = Clock.at(datetime.combine(day, time(8), timezone.utc))
            if ledger.deciding(day, mapping.gate.same_day) is None:
                observe(Context(mapping, ledger, reports, clock, {SOURCE_VARIABLE: dsn}), day)
        inject(connection, Fault.MISSING_MEMBERSHIP, count=5, tenants=company.tenants[1:4])
        inject(connection, Fault.RENAMED_UNIT, count=2, tenants=company.tenants[1:4])
