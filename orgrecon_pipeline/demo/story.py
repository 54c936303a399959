"""The demo: a company in use, six simulated days, and today, each a real comparison on an embedded PostgreSQL."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, time, timezone
from importlib.resources import files
from pathlib import Path
from typing import Any

import psycopg

from orgrecon_pipeline.demo.company import Company, create_schema, mark_simulated, seed
from orgrecon_pipeline.demo.drift import Fault, inject
from orgrecon_pipeline.demo.dual_writer import DualWriter, DualWriterSettings, Observer
from orgrecon_pipeline.demo.server import EmbeddedServer
from orgrecon_pipeline.domain.days import days_ending
from orgrecon_pipeline.domain.errors import ConfigurationError

DEFAULT_DIRECTORY = Path(".orgrecon/demo")
_MARKER = "this-is-an-orgrecon-demo"
_DATABASE = "company"
_HISTORY_DAYS = 6
_FAULTS = {Fault.MISSING_UNIT: 1, Fault.MISSING_MEMBERSHIP: 5, Fault.REVOKED_MEMBERSHIP: 2, Fault.RENAMED_UNIT: 2,
           Fault.WRONG_ROLE: 3, Fault.DUPLICATE_UNIT: 1}
_DRIFTING_TENANTS = 4
#: One more is founded by the application.
_TENANTS = 39
# The default waits for a dual writer that is not there; the demo shows that it waits, but not for long.
_SCAN = "scan:     {settle_seconds: 1, rechecks: 1}\n"
_DAGSTER = "telemetry: {enabled: false}\nnux: {enabled: false}\n"

Say = Callable[[str], None]
#: Materialises a day: environment and day.
RunDay = Callable[[Mapping[str, str], date], Any]


@dataclass(frozen=True)
class Stage:
    """Where the demo takes place, and the environment in which everything of it runs."""

    directory: Path
    environ: dict[str, str]

    @property
    def reports(self) -> Path:
        """The demo's audit directory."""
        return self.directory / "reports"


def set_stage(directory: Path | None, *, with_ui: bool) -> Stage:
    """Clear the place of an earlier demo and lay out a new one.

    Raises:
        ConfigurationError: when the directory holds anything but an earlier demo, or cannot be one.
    """
    place = (directory or DEFAULT_DIRECTORY).absolute()
    try:
        if place.exists() and any(place.iterdir()) and not (place / _MARKER).exists():
            raise ConfigurationError(f"{place} is not empty and no earlier demo: name an empty --directory.")
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        (place / _MARKER).touch()
    except (OSError, ValueError) as failure:
        why = failure.strerror if isinstance(failure, OSError) else "not a path"
        raise ConfigurationError(f"{place} cannot hold the demo ({why}): name another --directory.") from None
    default = (files("orgrecon_pipeline.config") / "default_mapping.yaml").read_text(encoding="utf-8")
    lines = [_SCAN if line.startswith("scan:") else line for line in default.splitlines(keepends=True)]
    (place / "orgrecon.yaml").write_text("".join(lines), encoding="utf-8")
    environ = {
        **os.environ,
        "ORGRECON_MAPPING": str(place / "orgrecon.yaml"),
        "ORGRECON_LEDGER_URL": f"sqlite:///{place / 'ledger.db'}",
        "ORGRECON_OUTPUT_DIR": str(place / "reports"),
        "ORGRECON_SIMULATED_NOW_FILE": str(place / "now"),
    }
    environ.pop("DAGSTER_HOME", None)
    if with_ui:
        home = place / "dagster_home"
        home.mkdir()
        (home / "dagster.yaml").write_text(_DAGSTER, encoding="utf-8")
        environ["DAGSTER_HOME"] = str(home)
    return Stage(place, environ)


@contextmanager
def company_in_use(stage: Stage, server: EmbeddedServer, say: Say, observer: Observer) -> Iterator[Company]:
    """Seed the company; for the length of the block an application writes both its models, in one transaction each.

    Args:
        stage: its environment gets the database.
        server: where the database is made.
        say: is told a line at a time.
        observer: is told of every write.
    """
    dsn = server.create_database(_DATABASE)
    stage.environ["DATABASE_URL"] = dsn
    os.environ.update(stage.environ)  # Dagster resolves its variables from the process
    with psycopg.connect(dsn, autocommit=True) as connection:
        create_schema(connection)
        mark_simulated(connection)
        company = seed(connection, tenants=_TENANTS)
    say(f"seeded {len(company.tenants)} tenants, {company.units} units and {company.memberships} memberships, "
        "in both models alike")
    undisturbed = company.tenants[1 + _DRIFTING_TENANTS:]  # it would heal what is injected into the others
    settings = DualWriterSettings(operations_per_second=20, tenants=1, adopt=undisturbed, cooldown_seconds=5)
    with DualWriter(dsn, settings, observer=observer) as writer:
        say("an application founded one more, and goes on writing both models")
        yield company
    say(f"the application wrote {sum(writer.operations.values())} changes to both models")


def play(stage: Stage, company: Company, run_day: RunDay, say: Say, *, clean: bool) -> date:
    """Live through six days, then get today ready; returns today."""
    dsn = stage.environ["DATABASE_URL"]
    today = datetime.now(timezone.utc)
    *history, last = days_ending(today.date(), _HISTORY_DAYS + 1)
    for day in history:
        _set_clock(stage, datetime.combine(day, time(8), timezone.utc))
        run_day(stage.environ, day)
        say(f"{day} compared (simulated)")
    if not clean:
        drifting = company.tenants[1 : 1 + _DRIFTING_TENANTS]
        with psycopg.connect(dsn, autocommit=True) as connection:
            for fault, count in _FAULTS.items():
                inject(connection, fault, count=count, tenants=drifting)
        say(f"drift injected in {len(drifting)} tenants")
    _set_clock(stage, today)
    return last


def serve_ui(stage: Stage, port: int, say: Say) -> int:
    """Serve the Dagster UI on the demo until it is interrupted."""
    say(f"the Dagster UI is at http://127.0.0.1:{port} (Ctrl+C ends it, and the demo's database)")
    command = [sys.executable, "-m", "dagster", "dev", "-m", "orgrecon_pipeline.definitions", "-p", str(port)]
    process = subprocess.Popen(command, env=stage.environ, cwd=stage.directory)  # noqa: S603
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.terminate()
        return process.wait()


def _set_clock(stage: Stage, moment: datetime) -> None:
    (stage.directory / "now").write_text(moment.isoformat(), encoding="ascii")
