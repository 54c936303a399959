"""``orgrecon report`` with and without ``DAGSTER_HOME``: the same output, reports and ledger after any history."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from orgrecon_pipeline.cli.app import main
from orgrecon_pipeline_tests.support.default_identity import open_ledger
from orgrecon_pipeline_tests.support.defs.world import World

FIRST = date(2026, 3, 1)
PUBLISH = "orgrecon_pipeline.operations.trail.publish"
UNREACHABLE = "postgresql://nobody@127.0.0.1:1/none"


@dataclass(frozen=True)
class Outcome:
    """What a user and a program see of one command."""

    code: int | str
    out: str
    err: str


class Site:
    """A working directory with a ledger and reports, in which commands run in this process."""

    def __init__(self, directory: Path, home: Path | None, capsys: pytest.CaptureFixture[str]) -> None:
        self.directory, self._home, self._capsys = directory, home, capsys

    @property
    def ledger_file(self) -> Path:
        return self.directory / "ledger.db"

    def report(self, *arguments: str, source: str) -> Outcome:
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(self.directory)
            patch.setenv("DATABASE_URL", source)
            patch.setenv("ORGRECON_LEDGER_URL", "sqlite:///ledger.db")
            patch.setenv("ORGRECON_OUTPUT_DIR", "reports")
            patch.delenv("DAGSTER_HOME", raising=False)
            if self._home:
                patch.setenv("DAGSTER_HOME", str(self._home))
            try:
                main(["report", *arguments])
            except SystemExit as ended:
                code: int | str = ended.code  # type: ignore[assignment]
            except KeyboardInterrupt as interrupt:
                code = f"interrupted: {interrupt}"
        return Outcome(code, *self._capsys.readouterr())

    def reports(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in sorted((self.directory / "reports").glob("*"))}

    def rows(self) -> list[str]:
        with closing(sqlite3.connect(self.ledger_file)) as ledger:
            return sorted(ledger.iterdump())  # the order in which a comparison finds its keys is not defined


@contextmanager
def nothing(_: Site) -> Iterator[None]:
    yield


@contextmanager
def refused(site: Site) -> Iterator[None]:
    """Let the ledger refuse new observations."""
    with closing(sqlite3.connect(site.ledger_file)) as ledger:
        ledger.execute("CREATE TRIGGER refuse BEFORE INSERT ON orgrecon_observation "
                       "BEGIN SELECT RAISE(ABORT, 'refused'); END")
        yield
        ledger.execute("DROP TRIGGER refuse")


def failing(function: str, action: Callable[..., Any]) -> Callable[[Site], Any]:
    @contextmanager
    def patched(_: Site) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(function, action)
            yield

    return patched


def bug(*_: object, **__: object) -> None:
    raise RuntimeError("a row of the company")


def interrupt(*_: object, **__: object) -> None:
    signal.raise_signal(signal.SIGINT)


FAULTS = {
    "none": nothing,
    "the ledger refuses the evidence": refused,
    "a bug before the evidence is stored": failing("orgrecon_pipeline.operations.observe.observe.refuse_future", bug),
    "a bug after the evidence is stored": failing(f"{PUBLISH}.build_record", bug),
    "interrupted before the evidence is stored": failing(
        "orgrecon_pipeline.operations.observe.shards.compare_endpoints", interrupt),
    "interrupted after the evidence is stored": failing(f"{PUBLISH}.write_report", interrupt),
}


def steps(chance: random.Random) -> Iterator[tuple[date, str, tuple[str, ...], bool, str]]:
    """Yield the days of a history: what is done to the company, the options, whether it can be reached, and the fault.

    Each fault occurs once, in random order, among as many commands without one.
    """
    faults = [*FAULTS, *["none"] * len(FAULTS)]
    chance.shuffle(faults)
    day = FIRST
    for fault in faults:
        day += timedelta(days=chance.choice([0, 1, 1, 1, 2]))
        asked = day - timedelta(days=chance.choice([0, 0, 0, 0, 1, 2, -1]))
        options = chance.choice([(), (), (), ("--exact",), ("--baseline",)])
        yield (day, chance.choice(["drift", "heal", ""]), ("--date", str(asked), *options), chance.random() > 0.2,
               fault)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_report_without_dagster_equals_report_with_dagster(
    world: World, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    seed: int,
) -> None:
    sites = [Site(tmp_path / "plain", None, capsys), Site(tmp_path / "dagster", home, capsys)]
    for site in sites:
        site.directory.mkdir()
    open_ledger(f"sqlite:///{sites[0].ledger_file}")
    shutil.copy(sites[0].ledger_file, sites[1].ledger_file)  # a ledger draws its id when it is created
    # All else that is stored of two comparisons of the same rows is equal. The server's log also grows by itself.
    monkeypatch.setattr("orgrecon_pipeline.compare.engine.secrets", SimpleNamespace(randbits=lambda bits: 7))
    monkeypatch.setattr("orgrecon_pipeline.compare.engine.time", SimpleNamespace(monotonic=lambda: 0.0))
    monkeypatch.setattr("orgrecon_pipeline.postgres.identity._read_position", lambda session: {})
    outcomes = []
    for day, change, options, reachable, fault in steps(random.Random(seed)):
        world.set_clock(day)
        if change:
            world.inject_drift() if change == "drift" else world.heal_drift()
        both = []
        for site in sites:
            with FAULTS[fault](site):
                both.append(site.report(*options, source=os.environ["DATABASE_URL"] if reachable else UNREACHABLE))
        assert both[0] == both[1], (day, options, fault)
        assert sites[0].reports() == sites[1].reports(), (day, options, fault)
        assert sites[0].rows() == sites[1].rows(), (day, options, fault)
        outcomes.append(both[0].code)
    assert len(set(outcomes)) > 3, outcomes
