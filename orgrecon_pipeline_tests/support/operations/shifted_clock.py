"""A company with live evidence over many days: PostgreSQL and orgrecon run under one clock that a test can shift."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psycopg
import pytest

from orgrecon_pipeline.demo.server import EmbeddedServer
from orgrecon_pipeline_tests.support.environ import inherited_environ
from orgrecon_pipeline_tests.support.python_process import ORGRECON, run_python

#: Where Debian's package faketime puts its library.
_LIBRARIES = "/usr/lib/{machine}-linux-gnu/faketime/libfaketime.so.1"

_MAPPING = Path(__file__).parents[3] / "orgrecon_pipeline/config/default_mapping.yaml"


def faketime_library() -> str:
    """Return the path of libfaketime, or skip the test; in CI the test fails instead."""
    library = _LIBRARIES.format(machine=os.uname().machine)
    if not Path(library).exists():
        (pytest.fail if os.environ.get("CI") else pytest.skip)(
            "libfaketime is not installed: install Debian's package faketime")
    return library


@dataclass(frozen=True)
class ShiftedClock:
    """The clock of the server and of every command, as an offset in a file that libfaketime reads each time."""

    file: Path
    library: str

    @property
    def environ(self) -> dict[str, str]:
        """Environment variables of a process that uses this clock."""
        return {
            "LD_PRELOAD": self.library, "FAKETIME_TIMESTAMP_FILE": str(self.file), "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1", "FAKETIME_DISABLE_SHM": "1",
        }

    def set(self, day: date, hour: int = 9) -> None:
        """Let it be this hour (UTC) of a day; the clock goes on from there."""
        now = datetime.now(timezone.utc)
        offset = datetime(day.year, day.month, day.day, hour, tzinfo=timezone.utc) - now
        self.file.write_text(f"{offset.total_seconds():+.0f}\n", "ascii")


@contextmanager
def shifted_server(directory: Path) -> Iterator[tuple[EmbeddedServer, ShiftedClock]]:
    """Run a server whose clock can be shifted."""
    directory.chmod(0o755)
    clock = ShiftedClock(directory / "clock", faketime_library())
    clock.set(datetime.now(timezone.utc).date())
    with patch.dict(os.environ, clock.environ), EmbeddedServer(directory / "postgres") as server:
        yield server, clock


@dataclass
class Company:
    """A working directory with its own database, ledger, mapping and reports."""

    directory: Path
    server: EmbeddedServer
    clock: ShiftedClock
    database: str
    today: date
    environ: dict[str, str] = field(default_factory=dict)

    def write_mapping(self, *replacements: tuple[str, str], directory: Path | None = None) -> Path:
        """Write the packaged mapping, without waiting for rechecks and with these replacements, and return its path."""
        text = _MAPPING.read_text(encoding="utf-8")
        for old, new in (("settle_seconds: 5", "settle_seconds: 0"), ("rechecks: 3", "rechecks: 1"), *replacements):
            assert old in text
            text = text.replace(old, new)
        path = (directory or self.directory) / "orgrecon.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def day(self, back: int) -> date:
        """Return the day that is ``back`` days before today."""
        return self.today - timedelta(days=back)

    def at(self, back: int, hour: int = 9) -> None:
        """Let it be an hour of the day that is ``back`` days before today."""
        self.clock.set(self.day(back), hour)

    def run(
        self, *arguments: str, directory: Path | None = None, database: str | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run orgrecon under the shifted clock."""
        kept = inherited_environ()
        return run_python(
            ORGRECON, *arguments, cwd=directory or self.directory,
            env={**kept, **self.clock.environ, "DATABASE_URL": self.server.dsn(database or self.database),
                 "ORGRECON_OUTPUT_DIR": "reports", **self.environ, **(environ or {})},
        )

    def report(self, *arguments: str, **options: Any) -> int:
        """Run ``orgrecon report`` and return its exit code."""
        return self.run("report", *arguments, **options).returncode

    def gate(self, *arguments: str, **options: Any) -> tuple[str, str]:
        """Return the state of the gate and the code of its reason."""
        result = self.run("gate", "--format", "json", *arguments, **options)
        answer = json.loads(result.stdout)
        assert result.returncode == (0 if answer["state"] == "OPEN" else 1)
        return answer["state"], answer["reason_code"]

    def execute(self, *statements: str, database: str | None = None) -> None:
        """Run statements as superuser."""
        with psycopg.connect(self.server.dsn(database or self.database), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    def lose_memberships(self) -> None:
        """Lose two memberships of the target."""
        self.execute("DELETE FROM public.org_unit_memberships WHERE ctid IN "
                     "(SELECT ctid FROM public.org_unit_memberships ORDER BY tenant_id, user_id LIMIT 2)")

    def copy(self, directory: Path, database: str) -> Company:
        """Return a copy of this company: its files, and its database under another name."""
        shutil.copytree(self.directory, directory)
        self.server.create_database(database, self.database)
        return Company(directory, self.server, self.clock, database, self.today)
