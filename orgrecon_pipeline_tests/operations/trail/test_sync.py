"""Sync of reports between directories: only sound reports, never over better ones, and repeatable."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from orgrecon_pipeline.domain.errors import EvidenceNotStored, UnsoundTrail, UsageError
from orgrecon_pipeline.domain.evidence import EntityTotals, Provenance, Verdict
from orgrecon_pipeline.domain.record import Record
from orgrecon_pipeline.operations.trail.sync import SyncResult
from orgrecon_pipeline.report.render import render
from orgrecon_pipeline_tests.support.default_identity import sync_trail, verify_trail
from orgrecon_pipeline_tests.support.python_process import ORGRECON, run_python, start_python
from orgrecon_pipeline_tests.support.report.cases import DAY, History, clean_week, days_back, observation, row

YESTERDAY = days_back(1)[0]
NAME = f"{DAY}.md"


@pytest.fixture
def directories(tmp_path: Path) -> tuple[Path, Path]:
    """Return the cluster's volume and the repository's directory, which does not exist yet."""
    (tmp_path / "volume").mkdir()
    return tmp_path / "volume", tmp_path / "repo" / "reports"


def write(directory: Path, *records: Record) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for record in records:
        (directory / f"{record.day}.md").write_text(render(record), encoding="utf-8", newline="")


def write_all(directory: Path, history: History) -> None:
    write(directory, *(history.record(day) for day in history.by_day))


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()} if directory.exists() else {}


def sync(directories: tuple[Path, Path], today: Any = DAY) -> SyncResult:
    before = contents(directories[0])
    done = sync_trail(*directories, today)
    assert contents(directories[0]) == before, "the source must not change"
    return done


def sync_without_change(directories: tuple[Path, Path]) -> SyncResult:
    """Sync, and check that the target did not change."""
    before = contents(directories[1])
    done = sync(directories)
    assert contents(directories[1]) == before
    assert not done.copied
    return done


def test_sync_copies_identical_bytes_once(directories: tuple[Path, Path]) -> None:
    write_all(directories[0], clean_week())
    done = sync(directories)
    assert (sorted(done.copied), done.conflicts, done.disagreements) == (days_back(*range(6, -1, -1)), [], [])
    assert contents(directories[1]) == contents(directories[0])
    assert verify_trail(directories[1]).sound
    again = sync_without_change(directories)
    assert (again.unchanged, again.kept, again.conflicts) == (days_back(*range(6, -1, -1)), {}, [])


@pytest.mark.parametrize("verdict", [Verdict.FAIL, Verdict.INCONCLUSIVE])
def test_sync_copies_failed_and_inconclusive_days(directories: tuple[Path, Path], verdict: Verdict) -> None:
    write_all(directories[0], History([observation(verdict=verdict)]))
    assert sync(directories).copied[DAY].verdict is verdict


@pytest.mark.parametrize("verdict", [Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE])
def test_sync_replaces_a_baseline_by_a_comparison_never_the_reverse(
    directories: tuple[Path, Path], verdict: Verdict
) -> None:
    baseline, live = History([observation(provenance=Provenance.BASELINE)]), History([observation(verdict=verdict)])
    write_all(directories[0], live)
    write_all(directories[1], baseline)
    assert list(sync(directories).copied) == [DAY]
    assert contents(directories[1]) == contents(directories[0])
    write_all(directories[0], baseline)
    done = sync_without_change(directories)
    assert list(done.kept) == [DAY]
    assert "a baseline never replaces a live report" in done.kept[DAY]
    assert not done.conflicts


def test_sync_replaces_a_report_by_its_rerun_never_the_reverse(directories: tuple[Path, Path]) -> None:
    older, newer = clean_week(), clean_week()
    newer.add(observation(verdict=Verdict.FAIL, hour=9))
    write_all(directories[0], newer)
    write_all(directories[1], older)
    assert sync(directories).copied[DAY].verdict is Verdict.FAIL
    assert contents(directories[1]) == contents(directories[0])
    write_all(directories[0], older)
    done = sync_without_change(directories)
    assert done.kept == {DAY: "it also lists later observations"}
    assert not done.conflicts


def test_sync_of_different_observations_is_a_conflict(directories: tuple[Path, Path]) -> None:
    ours, theirs = clean_week(), clean_week()
    ours.add(observation(verdict=Verdict.FAIL, hour=9))
    theirs.add(observation(hour=10))
    write_all(directories[0], theirs)
    write_all(directories[1], ours)
    [conflict] = sync_without_change(directories).conflicts
    assert str(directories[1] / NAME) in conflict
    assert "observations that the other one does not" in conflict


def test_sync_of_different_figures_is_a_conflict(directories: tuple[Path, Path]) -> None:
    history = clean_week()
    write(directories[0], history.record(DAY, [row("acme", rows=3)]))
    write(directories[1], history.record(DAY, [row("acme", rows=2)]))
    [conflict] = sync_without_change(directories).conflicts
    assert "which report was edited" in conflict


def test_sync_of_different_totals_with_one_id_is_a_conflict(directories: tuple[Path, Path]) -> None:
    honest = observation(verdict=Verdict.FAIL)
    forged = honest.model_copy(update={
        "verdict": Verdict.PASS, "tenants_with_drift": 0,
        "entities": {name: EntityTotals.zero() for name in honest.entities}})
    write_all(directories[0], History([forged]))
    write_all(directories[1], History([honest]))
    [conflict] = sync_without_change(directories).conflicts
    assert NAME in conflict


def test_sync_prefers_the_report_that_knows_more_days(directories: tuple[Path, Path]) -> None:
    week, single = clean_week(), History([observation()])
    write(directories[0], week.record(DAY))
    write(directories[1], single.record(DAY))
    assert list(sync(directories).copied) == [DAY]
    assert contents(directories[1]) == contents(directories[0])
    write(directories[0], single.record(DAY))
    assert list(sync_without_change(directories).kept) == [DAY]
    with_yesterday, with_the_day_before = (
        History([observation(days_back(back)[0]), observation()]).record(DAY) for back in (1, 2))
    write(directories[0], with_yesterday)
    write(directories[1], with_the_day_before)
    [conflict] = sync_without_change(directories).conflicts
    assert str(days_back(2)[0]) in conflict
    assert str(YESTERDAY) in conflict


def test_sync_reports_disagreements_of_the_target(directories: tuple[Path, Path]) -> None:
    """The report to copy shows a live day that neither directory has a report of."""
    write(directories[0], clean_week(length=2).record(DAY))
    write_all(directories[1], clean_week(Provenance.BASELINE))
    done = sync(directories)
    assert list(done.copied) == [DAY]
    assert done.disagreements
    assert all(NAME in line for line in done.disagreements)
    assert (list(verify_trail(directories[1]).findings), done.outdated) == (done.disagreements, [])


def test_sync_of_a_report_that_lacks_earlier_days_succeeds_and_names_it_outdated(
    directories: tuple[Path, Path]
) -> None:
    write_all(directories[0], History([observation()]))
    write_all(directories[1], clean_week(Provenance.BASELINE))
    done = sync(directories)
    assert (list(done.copied), done.conflicts, done.disagreements) == ([DAY], [], [])
    assert list(verify_trail(directories[1]).outdated.values()) == done.outdated
    assert verify_trail(directories[1]).sound


def test_sync_of_two_outdated_versions_of_a_report_keeps_one(directories: tuple[Path, Path]) -> None:
    """Each report knows of a day that the other does not know, and both days have reports."""
    for directory, back in zip(directories, (1, 2), strict=True):
        write_all(directory, History([observation(days_back(back)[0]), observation()]))
    done = sync(directories)
    assert (list(done.copied), list(done.kept), done.conflicts) == ([YESTERDAY], [DAY], [])
    assert "render it again" in done.kept[DAY]


def test_sync_with_injected_clock_accepts_only_simulated_reports(directories: tuple[Path, Path]) -> None:
    """Real reports are compared with the real day."""
    write_all(directories[0], clean_week(length=1))
    assert "of the future" in sync_trail(*directories, YESTERDAY, DAY).conflicts[0]
    write_all(directories[0], clean_week(Provenance.SIMULATED, length=1))
    assert list(sync_trail(*directories, YESTERDAY, DAY).copied) == [DAY]


def test_sync_refuses_future_and_simulated_reports(directories: tuple[Path, Path]) -> None:
    write_all(directories[0], History([observation(DAY), observation(YESTERDAY, provenance=Provenance.SIMULATED)]))
    write_all(directories[1], History([observation(days_back(3)[0])]))
    before = contents(directories[1])
    done = sync(directories, today=YESTERDAY)
    assert contents(directories[1]) == before
    demo, future = done.conflicts
    assert str(YESTERDAY) in demo
    assert "simulated" in demo
    assert str(DAY) in future
    assert "of the future" in future


def test_sync_refuses_a_real_report_in_a_simulated_trail(directories: tuple[Path, Path]) -> None:
    write_all(directories[0], History([observation()]))
    write_all(directories[1], History([observation(YESTERDAY, provenance=Provenance.SIMULATED)]))
    assert len(sync_without_change(directories).conflicts) == 1


def test_sync_copies_a_simulated_trail_to_its_own_directory(directories: tuple[Path, Path]) -> None:
    write_all(directories[0], clean_week(Provenance.SIMULATED))
    assert len(sync(directories).copied) == 7


def edited(path: Path) -> None:
    path.write_text(path.read_text().replace("PASS", "FAIL", 1))


def linked(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def piped(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


HOSTILE: dict[str, Callable[[Path], Any]] = {
    "edited": edited,
    "cut short": lambda path: os.truncate(path, path.stat().st_size // 2),
    "empty": lambda path: os.truncate(path, 0),
    "another day's": lambda path: path.write_bytes(path.with_name(f"{YESTERDAY}.md").read_bytes()),
    "a symbolic link": linked,
    "a dangling link": lambda path: (path.unlink(), path.symlink_to("nowhere")),
    "a pipe": piped,
    "a directory": lambda path: (path.unlink(), path.mkdir()),
    "no text": lambda path: path.write_bytes(b"\xff\xfe\x00"),
    "huge": lambda path: os.truncate(path, 2**34),
    "nested": lambda path: path.write_text(f"<!-- orgrecon-record: {'[' * 100_000} -->\n"),
}


@pytest.mark.parametrize("how", HOSTILE)
def test_sync_refuses_unsound_source_reports(directories: tuple[Path, Path], how: str) -> None:
    write_all(directories[0], clean_week(length=2))
    HOSTILE[how](directories[0] / NAME)
    done = sync_trail(*directories, DAY)
    assert list(done.copied) == [YESTERDAY]
    [conflict] = done.conflicts
    assert conflict.startswith(str(directories[0] / NAME))
    assert "\n" not in conflict
    assert set(contents(directories[1])) == {f"{YESTERDAY}.md"}


@pytest.mark.parametrize("how", [how for how in HOSTILE if how not in ("a pipe", "huge")])
def test_sync_never_replaces_unsound_target_reports(directories: tuple[Path, Path], how: str) -> None:
    write_all(directories[0], clean_week(length=2))
    write_all(directories[1], clean_week(length=2))
    HOSTILE[how](directories[1] / NAME)
    target = directories[1] / NAME
    before = (target.is_symlink(), target.is_dir(), target.is_file() and target.read_bytes())
    done = sync(directories)
    [conflict] = done.conflicts
    assert conflict.startswith(str(target))
    assert "not replaced" in conflict
    assert (target.is_symlink(), target.is_dir(), target.is_file() and target.read_bytes()) == before
    assert not done.copied


def test_sync_names_misspelt_reports_and_ignores_other_files(directories: tuple[Path, Path]) -> None:
    write_all(directories[0], clean_week(length=2))
    (directories[0] / "README.md").write_text("hello")
    (directories[0] / f"{DAY} (1).md").write_text("copy")
    [conflict] = sync(directories).conflicts
    assert f"{DAY} (1).md" in conflict
    assert set(contents(directories[1])) == {NAME, f"{YESTERDAY}.md"}


def test_sync_refuses_unusable_directories(directories: tuple[Path, Path], tmp_path: Path) -> None:
    source, target = directories
    with pytest.raises(UsageError, match="contains no report"):
        sync_trail(source, target, DAY)
    with pytest.raises(UsageError, match="is not a directory"):
        sync_trail(tmp_path / "nowhere", target, DAY)
    write_all(source, clean_week(length=1))
    (tmp_path / "again").symlink_to(source)
    with pytest.raises(UsageError, match="the same directory"):
        sync_trail(source, tmp_path / "again", DAY)
    (tmp_path / "file").write_text("")
    with pytest.raises(UnsoundTrail, match="cannot be read as a directory"):
        sync_trail(source, tmp_path / "file", DAY)
    assert not target.exists()


def test_sync_with_a_full_disk_is_completed_by_the_next_run(directories: tuple[Path, Path]) -> None:
    write_all(directories[0], clean_week())
    # Writing beyond a file-size limit fails like a full disk.
    code = ("import resource, signal, sys\nfrom datetime import date\nfrom pathlib import Path\n"
            "from orgrecon_pipeline_tests.support.default_identity import sync_trail\n"
            "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
            "sync_trail(Path(sys.argv[1]), Path(sys.argv[2]), date.fromisoformat(sys.argv[3]))\n")
    ended = run_python(code, *map(str, directories), str(DAY))
    assert EvidenceNotStored.__name__ in ended.stderr
    assert contents(directories[1]) == {}
    assert len(sync(directories).copied) == 7


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """An environment with an injected clock on :data:`DAY`."""
    (tmp_path / "now").write_text(f"{DAY}T10:00:00+00:00")
    return {**os.environ, "ORGRECON_SIMULATED_NOW_FILE": str(tmp_path / "now")}


def test_killed_sync_leaves_whole_reports_and_the_next_run_completes(
    directories: tuple[Path, Path], environ: dict[str, str]
) -> None:
    days = [DAY - timedelta(days=back) for back in range(60)]
    write_all(directories[0], History(observation(day) for day in days))
    process = start_python(ORGRECON, "sync", *map(str, directories), env=environ, stdout=subprocess.DEVNULL)
    end = time.monotonic() + 60
    while not list(directories[1].glob("*.md")) and process.poll() is None and time.monotonic() < end:
        pass
    process.kill()
    process.communicate()
    everything = contents(directories[0])
    arrived = {name: text for name, text in contents(directories[1]).items() if not name.startswith(".")}
    assert arrived, "the process was killed too early"
    assert arrived.items() <= everything.items()
    done = sync(directories)
    assert not done.conflicts
    assert len(done.copied) == 60 - len(arrived)
    assert contents(directories[1]) == everything, "the temporary files of the killed run are removed"


def test_sync_command_prints_and_exits(directories: tuple[Path, Path], environ: dict[str, str]) -> None:
    write_all(directories[0], clean_week(length=2))

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        return run_python(ORGRECON, "sync", *map(str, arguments), env=environ)

    first = run(*directories)
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout.splitlines() == [
        f"{YESTERDAY}: copied (PASS, live)", f"{DAY}: copied (PASS, live)",
        "2 copied, 0 unchanged, 0 kept, 0 in conflict"]
    edited(directories[0] / NAME)
    second = run(*directories, "--format", "json")
    assert second.returncode == 1
    value = json.loads(second.stdout)
    assert (value["copied"], value["unchanged"], len(value["conflicts"])) == ([], [str(YESTERDAY)], 1)
    assert second.stderr == f"orgrecon: {value['conflicts'][0]}\n"
    third = run(directories[1].parent / "empty", directories[1])
    assert (third.returncode, third.stdout, third.stderr.count("\n")) == (2, "", 1)
