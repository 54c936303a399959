"""Writing a report: the file always has the old bytes or the new ones, whatever happens during the write."""

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
from orgrecon_pipeline.report.render import render
from orgrecon_pipeline.report.write import check_writable, write_report
from orgrecon_pipeline_tests.support.default_identity import read_report
from orgrecon_pipeline_tests.support.report.cases import DAY, clean_week, golden_cases

CASES = golden_cases()
OLD, NEW = CASES["inconclusive"], CASES["fail_with_samples"]
OLD_BYTES, NEW_BYTES = render(OLD).encode(), render(NEW).encode()
NAME = f"{DAY}.md"


def one_line(error: OrgreconError) -> str:
    assert "\n" not in str(error)
    assert error.__cause__ is None
    return str(error)


def test_write_report_creates_the_file_and_returns_its_path(tmp_path: Path) -> None:
    directory = tmp_path / "docs" / "runbooks" / "reports"
    path = write_report(directory, NEW)
    assert path == directory / NAME
    assert path.read_bytes() == NEW_BYTES
    assert os.listdir(directory) == [NAME]
    assert read_report(path) == NEW


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o027, 0o640)])
def test_file_mode_respects_the_umask(mask: int, mode: int, tmp_path: Path) -> None:
    before = os.umask(mask)
    try:
        path = write_report(tmp_path, NEW)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_unchanged_report_is_not_written_again(tmp_path: Path) -> None:
    before = write_report(tmp_path, NEW).stat()
    again = write_report(tmp_path, NEW).stat()
    assert (again.st_ino, again.st_ctime_ns) == (before.st_ino, before.st_ctime_ns)
    write_report(tmp_path, OLD)
    after = write_report(tmp_path, NEW).stat()
    assert after.st_ino != before.st_ino or after.st_mtime_ns != before.st_mtime_ns
    assert (tmp_path / NAME).read_bytes() == NEW_BYTES


def test_damaged_report_of_the_same_length_is_replaced(tmp_path: Path) -> None:
    path = write_report(tmp_path, NEW)
    path.write_bytes(NEW_BYTES.replace(b"CLOSED", b"OPENED"))
    write_report(tmp_path, NEW)
    assert path.read_bytes() == NEW_BYTES


def test_symbolic_link_in_place_of_the_report_is_refused(tmp_path: Path) -> None:
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


def test_directory_or_pipe_in_place_of_the_report_is_refused(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    with pytest.raises(EvidenceNotStored, match=r"not a regular file") as caught:
        write_report(tmp_path, NEW)
    one_line(caught.value)
    (tmp_path / NAME).rmdir()
    os.mkfifo(tmp_path / NAME)
    with pytest.raises(EvidenceNotStored, match=r"not a regular file"):
        write_report(tmp_path, NEW)
    assert os.listdir(tmp_path) == [NAME]


def test_symbolic_link_to_the_directory_is_followed(tmp_path: Path) -> None:
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
def test_path_that_cannot_be_a_directory_is_refused_in_one_line(kind: str, odd_paths: dict[str, Path]) -> None:
    with pytest.raises(ConfigurationError) as early:
        check_writable(odd_paths[kind])
    assert len(one_line(early.value)) < 600
    with pytest.raises((ConfigurationError, EvidenceNotStored)) as late:
        write_report(odd_paths[kind], NEW)
    assert len(one_line(late.value)) < 600


def test_check_writable_leaves_only_the_directory(tmp_path: Path) -> None:
    check_writable(tmp_path / "a" / "b")
    assert os.listdir(tmp_path / "a" / "b") == []


def run(script: str, directory: Path, *, nobody: bool = False) -> list[str]:
    """Run a script in a process and return the lines it prints; ``tell(call)`` prints the outcome of a call.

    The script also has ``d``, the directory, and ``record``.
    """
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


def test_file_size_limit_leaves_the_old_report(tmp_path: Path) -> None:
    write_report(tmp_path, OLD)
    lines = run(
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
    assert [line.split(" ")[0] for line in lines] == [*["EvidenceNotStored"] * 7, "done", "done"]
    assert all("free some space" in line for line in lines[:7])
    assert (tmp_path / NAME).read_bytes() == NEW_BYTES
    assert os.listdir(tmp_path) == [NAME]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    mount_point = tmp_path / "disk"
    mount_point.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(mount_point)],
                             capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no tmpfs can be mounted: {mounted.stderr.strip()}")
    yield mount_point
    subprocess.run(["umount", str(mount_point)], check=True)


def test_full_disk_leaves_the_old_report(small_disk: Path) -> None:
    write_report(small_disk, OLD)
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    with pytest.raises(EvidenceNotStored, match="free some space") as caught:
        write_report(small_disk, NEW)
    one_line(caught.value)
    with pytest.raises(EvidenceNotStored, match="free some space"):
        check_writable(small_disk)
    assert (small_disk / NAME).read_bytes() == OLD_BYTES
    assert sorted(os.listdir(small_disk)) == [NAME, "filler"]
    filler.unlink()
    write_report(small_disk, NEW)
    assert (small_disk / NAME).read_bytes() == NEW_BYTES


def test_directory_without_permission_is_refused_and_keeps_the_old_report() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as parent:
        directory = Path(parent) / "reports"
        directory.mkdir()
        write_report(directory, OLD)
        os.chmod(parent, 0o755)
        os.chmod(directory, 0o555)
        lines = run("tell(lambda: check_writable(d)); tell(lambda: write_report(d, record))\n"
                   "tell(lambda: check_writable(d / 'deeper'))", directory, nobody=True)
        assert [line.split(" ")[0] for line in lines] == [
            "ConfigurationError", "EvidenceNotStored", "ConfigurationError"]
        assert all("Permission denied" in line for line in lines)
        assert (directory / NAME).read_bytes() == OLD_BYTES


@pytest.mark.parametrize("start", ["nothing", "an old report"])
def test_kill_at_any_system_call_leaves_old_or_new_bytes(start: str, tmp_path: Path) -> None:
    """Kill with SIGKILL before, halfway through and after every system call; the next write always repairs the rest."""
    (tmp_path / "start").mkdir()
    (tmp_path / NAME).write_bytes(NEW_BYTES)
    if start == "an old report":
        (tmp_path / "start" / NAME).write_bytes(OLD_BYTES)
    module = "orgrecon_pipeline_tests.support.report.kill_points"
    done = subprocess.run([sys.executable, "-m", module, str(tmp_path), str(tmp_path / NAME)],
                          capture_output=True, text=True, check=True)
    attempts = [line.split(" ") for line in done.stdout.splitlines()]
    killed = [(call, moment) for _, call, moment, was_killed in attempts if was_killed == "True"]
    assert {"open", "write", "fsync", "replace", "close"} <= {call for call, _ in killed}
    assert len(killed) > 30
    order = [call for call, moment in killed if moment == "before" and call in ("write", "fsync", "replace")]
    assert order == ["write", "fsync", "replace", "fsync"]
    old = OLD_BYTES if start == "an old report" else None
    contents, leftovers = set(), 0
    for number, call, moment, _ in attempts:
        directory = tmp_path / number
        report = directory / NAME
        content = report.read_bytes() if report.exists() else None
        assert content in (old, NEW_BYTES), (call, moment)
        contents.add(content)
        leftovers += len(os.listdir(directory)) > 1 or (content is None and bool(os.listdir(directory)))
        write_report(directory, NEW)
        assert report.read_bytes() == NEW_BYTES
        assert os.listdir(directory) == [NAME]
    assert contents == {old, NEW_BYTES}
    assert leftovers > 5


def test_concurrent_writers_do_not_remove_the_temporary_files_of_others(tmp_path: Path) -> None:
    """Write reports of several days to one directory at the same time."""
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


def test_only_temporary_files_of_crashed_runs_are_removed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("precious")
    directory = tmp_path / "reports"
    directory.mkdir()
    leftover = directory / ".2026-11-20.md.0123456789abcdef.tmp"
    leftover.write_text("half")
    link = directory / ".2026-11-21.md.0123456789abcdef.tmp"
    link.symlink_to(outside)
    folder = directory / ".2026-11-22.md.0123456789abcdef.tmp"
    folder.mkdir()
    others = [".2026-11-20.md.swp", "2026-11-20.md.tmp", ".gitkeep", ".2026-11-20.md.0123456789abcdef.tmp.bak"]
    for name in others:
        (directory / name).write_text("x")
    write_report(directory, NEW)
    assert not leftover.exists()
    assert sorted(os.listdir(directory)) == sorted([NAME, link.name, folder.name, *others])
    assert outside.read_text() == "precious"
