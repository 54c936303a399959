"""A report on the disk is the old one or the new one, whatever happens while it is written."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from orgrecon_pipeline.domain.errors import ConfigurationError, EvidenceNotStored, OrgreconError
from orgrecon_pipeline.report.read import read_report
from orgrecon_pipeline.report.render import render
from orgrecon_pipeline.report.write import check_writable, write_report
from orgrecon_pipeline_tests.support.report.cases import DAY, clean_week, golden_cases

CASES = golden_cases()
OLD, NEW = CASES["inconclusive"], CASES["fail_with_samples"]
OLD_BYTES, NEW_BYTES = render(OLD).encode(), render(NEW).encode()
NAME = f"{DAY}.md"


def one_line(error: OrgreconError) -> str:
    assert "\n" not in str(error)
    assert error.__cause__ is None
    return str(error)


def test_writes_the_page_and_returns_its_path(tmp_path: Path) -> None:
    directory = tmp_path / "docs" / "runbooks" / "reports"
    path = write_report(directory, NEW)
    assert path == directory / NAME
    assert path.read_bytes() == NEW_BYTES
    assert os.listdir(directory) == [NAME]
    assert read_report(path) == NEW


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o027, 0o640)])
def test_mode_respects_the_umask(mask: int, mode: int, tmp_path: Path) -> None:
    before = os.umask(mask)
    try:
        path = write_report(tmp_path, NEW)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_the_same_report_is_not_written_again(tmp_path: Path) -> None:
    before = write_report(tmp_path, NEW).stat()
    assert write_report(tmp_path, NEW).stat() == before
    write_report(tmp_path, OLD)
    after = write_report(tmp_path, NEW).stat()
    assert after.st_ino != before.st_ino or after.st_mtime_ns != before.st_mtime_ns
    assert (tmp_path / NAME).read_bytes() == NEW_BYTES


def test_a_damaged_report_of_the_same_length_is_repaired(tmp_path: Path) -> None:
    path = write_report(tmp_path, NEW)
    path.write_bytes(NEW_BYTES.replace(b"CLOSED", b"OPENED"))
    write_report(tmp_path, NEW)
    assert path.read_bytes() == NEW_BYTES


def test_a_link_in_place_of_the_report_is_refused(tmp_path: Path) -> None:
    outside = tmp_path / "outside.txt"
    outside.write_text("precious")
    directory = tmp_path / "reports"
    directory.mkdir()
    for target in (outside, tmp_path / "absent", Path(NAME)):
        (directory / NAME).symlink_to(target)
        with pytest.raises(EvidenceNotStored, match=r"symbolic link") as caught:
            write_report(directory, NEW)
        assert NAME in one_line(caught.value)
        assert os.readlink(directory / NAME) == str(target)
        (directory / NAME).unlink()
    assert outside.read_text() == "precious"
    assert not (tmp_path / "absent").exists()


def test_something_else_in_place_of_the_report_is_refused(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    with pytest.raises(EvidenceNotStored, match=r"not a regular file") as caught:
        write_report(tmp_path, NEW)
    one_line(caught.value)
    (tmp_path / NAME).rmdir()
    os.mkfifo(tmp_path / NAME)
    with pytest.raises(EvidenceNotStored, match=r"not a regular file"):
        write_report(tmp_path, NEW)
    assert os.listdir(tmp_path) == [NAME]


def test_a_linked_directory_is_the_users_to_give(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert write_report(tmp_path / "link", NEW) == tmp_path / "link" / NAME
    assert (tmp_path / "real" / NAME).read_bytes() == NEW_BYTES


@pytest.fixture
def odd_paths(tmp_path: Path) -> dict[str, Path]:
    (tmp_path / "file").write_text("x")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop").symlink_to("loop")
    return {
        "a file": tmp_path / "file", "under a file": tmp_path / "file" / "reports",
        "a dangling link": tmp_path / "dangling",
        "a loop": tmp_path / "loop", "a long name": tmp_path / ("x" * 300), "a long path": Path("/" + "x/" * 3000),
        "a NUL": tmp_path / "a\0b", "in proc": Path("/proc/orgrecon"), "a device": Path("/dev/null"),
    }


@pytest.mark.parametrize("kind", ["a file", "under a file", "a dangling link", "a loop", "a long name", "a long path",
                                  "a NUL", "in proc", "a device"])
def test_what_cannot_be_a_directory_is_said_in_one_line(kind: str, odd_paths: dict[str, Path]) -> None:
    with pytest.raises(ConfigurationError) as early:
        check_writable(odd_paths[kind])
    assert len(one_line(early.value)) < 600
    with pytest.raises((ConfigurationError, EvidenceNotStored)) as late:
        write_report(odd_paths[kind], NEW)
    assert len(one_line(late.value)) < 600


def test_check_leaves_nothing_but_the_directory(tmp_path: Path) -> None:
    check_writable(tmp_path / "a" / "b")
    assert os.listdir(tmp_path / "a" / "b") == []


def run(script: str, directory: Path, *, nobody: bool = False) -> list[str]:
    """The lines that a process prints that runs the script with ``d``, ``record``, and ``tell(call)`` for outcomes."""
    prologue = (
        "import os, resource, sys; from pathlib import Path\n"
        "from orgrecon_pipeline_tests.support.report.cases import golden_cases\n"
        "from orgrecon_pipeline.domain.errors import OrgreconError\n"
        "from orgrecon_pipeline.report.render import render\n"
        "from orgrecon_pipeline.report.write import check_writable, write_report\n"
        "record = golden_cases()['fail_with_samples']; render(record); d = Path(sys.argv[1])\n"
        "def tell(call):\n"
        "    try: call(); print('done')\n"
        "    except OrgreconError as e: print(type(e).__name__, e)\n"
    )
    if nobody:
        prologue += "os.getuid() == 0 and (os.setgroups([]), os.setgid(65534), os.setuid(65534))\n"
    done = subprocess.run([sys.executable, "-B", "-c", prologue + script, str(directory)],
                          text=True, check=False, capture_output=True)
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_a_file_that_may_not_grow_leaves_the_old_report(tmp_path: Path) -> None:
    write_report(tmp_path, OLD)
    said = run(
        f"for limit in (0, 1, 1000, {len(NEW_BYTES) - 1}):\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))\n"
        "    tell(lambda: write_report(d, record))\n"
        f"    assert (d / {NAME!r}).stat().st_size == {len(OLD_BYTES)} and len(os.listdir(d)) == 1\n"
        "    tell(lambda: check_writable(d)) if limit < 4096 else print('done')\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({len(NEW_BYTES)}, resource.RLIM_INFINITY))\n"
        f"assert (d / {NAME!r}).read_bytes() == {OLD_BYTES!r}\n"
        "tell(lambda: write_report(d, record))\n",
        tmp_path,
    )
    assert [line.split(" ")[0] for line in said] == [*["EvidenceNotStored"] * 7, "done", "done"]
    assert all("make room" in line for line in said[:7])
    assert (tmp_path / NAME).read_bytes() == NEW_BYTES
    assert os.listdir(tmp_path) == [NAME]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32k", "tmpfs", str(place)],
                             capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no disk of our own can be mounted: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_leaves_the_old_report(small_disk: Path) -> None:
    write_report(small_disk, OLD)
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    with pytest.raises(EvidenceNotStored, match="make room") as caught:
        write_report(small_disk, NEW)
    one_line(caught.value)
    with pytest.raises(EvidenceNotStored, match="make room"):
        check_writable(small_disk)
    assert (small_disk / NAME).read_bytes() == OLD_BYTES
    assert sorted(os.listdir(small_disk)) == [NAME, "filler"]
    filler.unlink()
    write_report(small_disk, NEW)
    assert (small_disk / NAME).read_bytes() == NEW_BYTES


def test_a_directory_without_permission() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as place:
        directory = Path(place) / "reports"
        directory.mkdir()
        write_report(directory, OLD)
        os.chmod(place, 0o755)
        os.chmod(directory, 0o555)
        said = run("tell(lambda: check_writable(d)); tell(lambda: write_report(d, record))\n"
                   "tell(lambda: check_writable(d / 'deeper'))", directory, nobody=True)
        assert [line.split(" ")[0] for line in said] == ["ConfigurationError", "EvidenceNotStored", "ConfigurationError"]
        assert all("Permission denied" in line for line in said)
        assert (directory / NAME).read_bytes() == OLD_BYTES


@pytest.mark.parametrize("start", ["nothing", "an old report"])
def test_killed_at_any_moment(start: str, tmp_path: Path) -> None:
    """By SIGKILL, before, half-way through and after every system call: old bytes or new bytes, and then repaired."""
    (tmp_path / "start").mkdir()
    (tmp_path / NAME).write_bytes(NEW_BYTES)
    if start == "an old report":
        (tmp_path / "start" / NAME).write_bytes(OLD_BYTES)
    done = subprocess.run([sys.executable, "-m", "orgrecon_pipeline_tests.support.report.kill_points", str(tmp_path), str(tmp_path / NAME)],
                          capture_output=True, text=True, check=True)
    attempts = [line.split(" ") for line in done.stdout.splitlines()]
    killed = [(call, moment) for _, call, moment, was in attempts if was == "True"]
    assert {"open", "write", "fsync", "replace", "close"} <= {call for call, _ in killed}
    assert len(killed) > 30
    order = [call for call, moment in killed if moment == "before" and call in ("write", "fsync", "replace")]
    assert order == ["write", "fsync", "replace", "fsync"]
    old = OLD_BYTES if start == "an old report" else None
    found, leftovers = set(), 0
    for number, call, moment, _ in attempts:
        directory = tmp_path / number
        report = directory / NAME
        there = report.read_bytes() if report.exists() else None
        assert there in (old, NEW_BYTES), (call, moment)
        found.add(there)
        leftovers += len(os.listdir(directory)) > 1 or (there is None and bool(os.listdir(directory)))
        write_report(directory, NEW)
        assert report.read_bytes() == NEW_BYTES
        assert os.listdir(directory) == [NAME]
    assert found == {old, NEW_BYTES}
    assert leftovers > 5


def test_what_a_living_run_is_writing_is_not_swept_away(tmp_path: Path) -> None:
    """Many writers of different days in one directory, all at once: none takes the other's file for a leftover."""
    history = clean_week()
    records = [history.record(day) for day in history.by_day]
    failures: list[BaseException] = []

    def writer(at: int) -> None:
        try:
            for turn in range(30):
                write_report(tmp_path, records[at])
                if turn % 3 == 0:
                    (tmp_path / f"{records[at].day}.md").unlink()
            write_report(tmp_path, records[at])
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=writer, args=(at,)) for at in range(len(records))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert sorted(os.listdir(tmp_path)) == sorted(f"{record.day}.md" for record in records)


def test_only_our_own_leftovers_are_removed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("precious")
    directory = tmp_path / "reports"
    directory.mkdir()
    ours = directory / ".2026-11-20.md.0123456789abcdef.tmp"
    ours.write_text("half")
    link = directory / ".2026-11-21.md.0123456789abcdef.tmp"
    link.symlink_to(outside)
    folder = directory / ".2026-11-22.md.0123456789abcdef.tmp"
    folder.mkdir()
    others = [".2026-11-20.md.swp", "2026-11-20.md.tmp", ".gitkeep", ".2026-11-20.md.0123456789abcdef.tmp.bak"]
    for name in others:
        (directory / name).write_text("x")
    write_report(directory, NEW)
    assert not ours.exists()
    assert sorted(os.listdir(directory)) == sorted([NAME, link.name, folder.name, *others])
    assert outside.read_text() == "precious"
