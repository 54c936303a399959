"""Ten simulated days in Dagster on SQLite, with web server, daemon and browser.

The days are PASS, FAIL, MISSING, six times PASS, and today, which opens the gate.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from orgrecon_pipeline.defs.in_process import materialise_day
from orgrecon_pipeline.demo.company import create_schema, mark_simulated, seed
from orgrecon_pipeline.demo.faults import Fault, inject
from orgrecon_pipeline.demo.server import EmbeddedServer
from orgrecon_pipeline.operations.day_run import DayRequest
from orgrecon_pipeline_tests.support.defs.processes import INSTANCE, MODULE, process, webserver
from orgrecon_pipeline_tests.support.environ import inherited_environ

if TYPE_CHECKING:
    from playwright.sync_api import Page

CHROMIUM = "/usr/bin/chromium"
_SCAN = "scan:     {settle_seconds: 0, rechecks: 1}\n"
_DEFAULT = Path(__file__).parents[3] / "orgrecon_pipeline/config/default_mapping.yaml"


@dataclass
class Stage:
    """The directory, environment and database of the company. ``days`` are oldest first; the last one is today."""

    directory: Path
    environ: dict[str, str]
    admin: psycopg.Connection[Any]
    days: tuple[date, ...]

    @property
    def home(self) -> Path:
        return self.directory / "home"

    @property
    def reports(self) -> Path:
        return self.directory / "reports"

    def run(self, *days: date) -> None:
        """Materialise days as ``orgrecon report`` does, each at 08:00."""
        for day in days:
            moment = datetime.combine(day, time(8), timezone.utc)
            (self.directory / "now").write_text(moment.isoformat(), encoding="ascii")
            materialise_day(self.environ, day, DayRequest())

    def drift(self) -> None:
        """Inject drift."""
        for fault, count in ((Fault.MISSING_MEMBERSHIP, 3), (Fault.RENAMED_UNIT, 2)):
            inject(self.admin, fault, count=count)

    def heal(self) -> None:
        """Write both models again, without drift."""
        self.admin.execute(
            "TRUNCATE public.tenants, public.teams, public.team_members, public.org_units, public.org_unit_memberships"
        )
        seed(self.admin, tenants=20, users_per_tenant=20)


@contextmanager
def company_history(directory: Path) -> Iterator[Stage]:
    """Yield a company with history until yesterday."""
    today = datetime.now(timezone.utc).date()
    days = tuple(today - timedelta(days=back) for back in reversed(range(10)))
    lines = _DEFAULT.read_text(encoding="utf-8").splitlines(keepends=True)
    (directory / "orgrecon.yaml").write_text(
        "".join(_SCAN if line.startswith("scan:") else line for line in lines), encoding="utf-8"
    )
    (directory / "home").mkdir()
    (directory / "home/dagster.yaml").write_text(INSTANCE, encoding="utf-8")
    with EmbeddedServer(directory / "postgres") as server:
        dsn = server.create_database("company")
        inherited = inherited_environ()
        variables = {
            "DATABASE_URL": dsn, "ORGRECON_MAPPING": str(directory / "orgrecon.yaml"), "LANG": "en_US.UTF-8",
            "ORGRECON_LEDGER_URL": f"sqlite:///{directory / 'ledger.db'}", "DAGSTER_HOME": str(directory / "home"),
            "ORGRECON_OUTPUT_DIR": str(directory / "reports"), "ORGRECON_START_DATE": str(days[0]),
            "ORGRECON_SIMULATED_NOW_FILE": str(directory / "now"), "ORGRECON_SENSOR_SECONDS": "3600",
        }
        before = dict(os.environ)
        os.environ.update(variables)  # Dagster resolves its variables from the process
        try:
            with psycopg.connect(dsn, autocommit=True) as admin:
                create_schema(admin)
                mark_simulated(admin)
                seed(admin, tenants=20, users_per_tenant=20)
                stage = Stage(directory, {**inherited, **variables}, admin, days)
                stage.run(days[0])
                stage.drift()
                stage.run(days[1])
                stage.heal()
                stage.run(*days[3:-1])
                yield stage
        finally:
            os.environ.clear()
            os.environ.update(before)


@contextmanager
def served(stage: Stage) -> Iterator[str]:
    """Run the web server; yield its URL."""
    with webserver(stage.environ, stage.home) as url:
        yield url


@contextmanager
def daemon(stage: Stage) -> Iterator[None]:
    """Run the daemon until the block ends."""
    command = [str(Path(sys.executable).with_name("dagster-daemon")), "run", *MODULE]
    with process(command, stage.environ, stage.home, stage.home / "daemon.log"):
        yield


@contextmanager
def browser(environ: Mapping[str, str]) -> Iterator[Page]:
    """Yield a page of Debian's Chromium. Without a locale the Dagster UI stays blank."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=30_000)  # a busy machine serves the UI slowly
    with ExitStack() as stack:
        playwright = stack.enter_context(sync_playwright())
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--lang=en-US"], env={**environ, "LANG": "en_US.UTF-8"}
        )
        stack.callback(chromium.close)
        context = chromium.new_context(viewport={"width": 1280, "height": 800}, locale="en-US", timezone_id="UTC")
        page = context.new_page()
        page.set_default_timeout(30_000)
        yield page

