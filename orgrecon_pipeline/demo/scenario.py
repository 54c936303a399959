"""Steps of ``orgrecon demo``: a company in use, six simulated days, and today, compared on an embedded PostgreSQL."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, time, timezone
from importlib.resources import files
from pathlib import Path
from typing import Any

import psycopg

from orgrecon_pipeline.demo.application import Application
from orgrecon_pipeline.demo.company import Company, create_company
from orgrecon_pipeline.demo.faults import Fault, inject
from orgrecon_pipeline.demo.server import EmbeddedServer
from orgrecon_pipeline.domain.days import days_ending
from orgrecon_pipeline.domain.errors import ConfigurationError
from orgrecon_pipeline.metrics.dual_write import DualWriteMetrics

DEFAULT_DIRECTORY = Path(".orgrecon/demo")
_MARKER = "this-is-an-orgrecon-demo"
_DATABASE = "company"
_HISTORY_DAYS = 6
_FAULTS = {Fault.MISSING_UNIT: 1, Fault.MISSING_MEMBERSHIP: 5, Fault.REVOKED_MEMBERSHIP: 2, Fault.RENAMED_UNIT: 2,
           Fault.WRONG_ROLE: 3, Fault.DUPLICATE_UNIT: 1}
_DRIFTING_TENANTS = slice(1, 5)
# Shorter than the default, which allows for a dual writer that commits the second side later. The demo's does not.
_SCAN = "scan:     {settle_seconds: 1, rechecks: 1}\n"
_DAGSTER = "telemetry: {enabled: false}\nnux: {enabled: false}\n"

#: Prints one line.
Say = Callable[[str], None]
#: Obtains the evidence of a day and publishes its report.
RunDay = Callable[[date], Any]


@dataclass(frozen=True)
class DemoDirectory:
    """Directory that holds all files of the demo, and the environment variables that point to them."""

    path: Path
    environ: dict[str, str]

    @property
    def reports(self) -> Path:
        """The output directory of the demo."""
        return self.path / "reports"

    def set_clock(self, moment: datetime) -> None:
        """Set the simulated clock."""
        (self.path / "now").write_text(moment.isoformat(), encoding="ascii")


def prepare_directory(path: Path | None, *, with_ui: bool) -> DemoDirectory:
    """Remove an earlier demo from the directory and write the configuration of a new one.

    ``with_ui`` also prepares a ``DAGSTER_HOME``, so that the UI shows the runs of the demo.

    Raises:
        ConfigurationError: if the directory holds something other than an earlier demo, or cannot be written.
    """
    path = (path or DEFAULT_DIRECTORY).absolute()
    try:
        if path.exists() and any(path.iterdir()) and not (path / _MARKER).exists():
            raise ConfigurationError(
                f"{path} is not empty and does not hold an earlier demo: choose an empty --directory.")
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        (path / _MARKER).touch()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a path"
        raise ConfigurationError(
            f"{path} cannot be used for the demo ({reason}): choose another --directory.") from None
    default = (files("orgrecon_pipeline.config") / "default_mapping.yaml").read_text(encoding="utf-8")
    lines = [_SCAN if line.startswith("scan:") else line for line in default.splitlines(keepends=True)]
    (path / "orgrecon.yaml").write_text("".join(lines), encoding="utf-8")
    environ = {
        **os.environ,
        "ORGRECON_ENVIRONMENT": "",
        "ORGRECON_MAPPING": str(path / "orgrecon.yaml"),
        "ORGRECON_LEDGER_URL": f"sqlite:///{path / 'ledger.db'}",
        "ORGRECON_OUTPUT_DIR": str(path / "reports"),
        "ORGRECON_SIMULATED_NOW_FILE": str(path / "now"),
    }
    environ.pop("DAGSTER_HOME", None)
    if with_ui:
        home = path / "dagster_home"
        home.mkdir()
        (home / "dagster.yaml").write_text(_DAGSTER, encoding="utf-8")
        environ["DAGSTER_HOME"] = str(home)
    return DemoDirectory(path, environ)


@contextmanager
def company_in_use(
    directory: DemoDirectory, server: EmbeddedServer, metrics: DualWriteMetrics, say: Say
) -> Iterator[Company]:
    """Seed the company, and keep an application writing both of its models until the block ends.

    The directory's environment receives ``DATABASE_URL``, and is copied to this process.
    """
    dsn = server.create_database(_DATABASE)
    directory.environ["DATABASE_URL"] = dsn
    os.environ.update(directory.environ)  # a Dagster run resolves its variables from the process
    with psycopg.connect(dsn, autocommit=True) as connection:
        company = create_company(connection)
    say(f"seeded {len(company.tenants)} tenants, {company.units} units and {company.memberships} memberships "
        "identically in both models")
    undisturbed = company.tenants[_DRIFTING_TENANTS.stop:]
    with Application(dsn, undisturbed, metrics) as application:
        say("an application keeps writing both models")
        yield company
    say(f"the application made {application.writes} changes to both models")


def run_history(directory: DemoDirectory, company: Company, run_day: RunDay, say: Say, *, clean: bool) -> date:
    """Materialise six simulated days, then inject drift, unless ``clean``, and set the clock to today; return today."""
    now = datetime.now(timezone.utc)
    *history, today = days_ending(now.date(), _HISTORY_DAYS + 1)
    for day in history:
        directory.set_clock(datetime.combine(day, time(8), timezone.utc))
        run_day(day)
        say(f"{day} compared (simulated)")
    if not clean:
        drifting = company.tenants[_DRIFTING_TENANTS]
        with psycopg.connect(directory.environ["DATABASE_URL"], autocommit=True) as connection:
            for fault, count in _FAULTS.items():
                inject(connection, fault, count=count, tenants=drifting)
        say(f"drift injected into {len(drifting)} tenants")
    directory.set_clock(now)
    return today


def serve_ui(directory: DemoDirectory, port: int, say: Say) -> int:
    """Run ``dagster dev`` on the demo until it is interrupted; return its exit code."""
    say(f"the Dagster UI is at http://127.0.0.1:{port} (Ctrl+C stops it and the demo's database)")
    command = [sys.executable, "-m", "dagster", "dev", "-m", "orgrecon_pipeline.definitions", "-p", str(port)]
    process = subprocess.Popen(command, env=directory.environ, cwd=directory.path)  # noqa: S603
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.terminate()
        return process.wait()
