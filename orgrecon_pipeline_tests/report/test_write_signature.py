"""Writing a signed report: a signature next to a report is always one of its bytes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from orgrecon_pipeline.domain.errors import EvidenceNotStored
from orgrecon_pipeline.file_lock import locked
from orgrecon_pipeline.report.signature_file import matches
from orgrecon_pipeline.report.write import write_report
from orgrecon_pipeline_tests.report.test_write import NAME, NEW, NEW_BYTES, OLD, OLD_BYTES
from orgrecon_pipeline_tests.support.report.signing_keys import signing_key, write_keys

SIGNATURE = f"{NAME}.sig"
KEY = signing_key()


@pytest.mark.parametrize("signs", [True, False])
def test_kill_at_any_system_call_leaves_no_signature_of_other_bytes(signs: bool, tmp_path: Path) -> None:
    write_report(tmp_path / "start", OLD, KEY.sign)
    (tmp_path / NAME).write_bytes(NEW_BYTES)
    private, _ = write_keys(tmp_path)
    module = "orgrecon_pipeline_tests.support.report.kill_points"
    done = subprocess.run(
        [sys.executable, "-m", module, str(tmp_path), str(tmp_path / NAME), *([str(private)] if signs else [])],
        capture_output=True, text=True, check=True)
    states = set()
    for number, call, moment, _ in (line.split(" ") for line in done.stdout.splitlines()):
        directory = tmp_path / number
        content = (directory / NAME).read_bytes()
        signature = (directory / SIGNATURE).read_bytes() if (directory / SIGNATURE).exists() else None
        assert signature is None or matches(content, signature), (call, moment)
        states.add((content == NEW_BYTES, signature is not None))
        write_report(directory, NEW, KEY.sign)
        assert (directory / SIGNATURE).read_bytes() == KEY.sign(NEW_BYTES)
        assert sorted(os.listdir(directory)) == [NAME, SIGNATURE]
    assert states == {(False, True), (False, False), (True, False)} | ({(True, True)} if signs else set())


def test_signature_stays_while_the_bytes_stay(tmp_path: Path) -> None:
    write_report(tmp_path, NEW, KEY.sign)
    before = (tmp_path / SIGNATURE).stat()
    for sign in (None, KEY.sign):
        write_report(tmp_path, NEW, sign)
        after = (tmp_path / SIGNATURE).stat()
        assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_edited_report_that_is_restored_without_the_key_keeps_its_signature(tmp_path: Path) -> None:
    report = write_report(tmp_path, NEW, KEY.sign)
    report.write_bytes(NEW_BYTES.replace(b"CLOSED", b"OPENED"))
    write_report(tmp_path, NEW)
    assert (report.read_bytes(), (tmp_path / SIGNATURE).read_bytes()) == (NEW_BYTES, KEY.sign(NEW_BYTES))


def test_signature_by_another_key_is_replaced_only_by_a_signature(tmp_path: Path) -> None:
    other = signing_key("other")
    write_report(tmp_path, NEW, other.sign)
    write_report(tmp_path, NEW)
    assert (tmp_path / SIGNATURE).read_bytes() == other.sign(NEW_BYTES)
    write_report(tmp_path, NEW, KEY.sign)
    assert (tmp_path / SIGNATURE).read_bytes() == KEY.sign(NEW_BYTES)


@pytest.mark.parametrize(
    "stale", [KEY.sign(OLD_BYTES), b"", b"junk", b"x" * 10_000], ids=["other bytes", "empty", "junk", "long"])
@pytest.mark.parametrize("start", [OLD_BYTES, NEW_BYTES], ids=["changed", "unchanged"])
def test_report_without_a_key_has_no_stale_signature(stale: bytes, start: bytes, tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(start)
    (tmp_path / SIGNATURE).write_bytes(stale)
    write_report(tmp_path, NEW)
    assert os.listdir(tmp_path) == [NAME]


def test_link_in_place_of_the_signature_is_never_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(KEY.sign(NEW_BYTES))
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / SIGNATURE).symlink_to(outside)
    write_report(tmp_path / "reports", NEW)
    assert os.listdir(tmp_path / "reports") == [NAME]
    (tmp_path / "reports" / SIGNATURE).symlink_to(outside)
    with pytest.raises(EvidenceNotStored, match="symbolic link"):
        write_report(tmp_path / "reports", NEW, KEY.sign)
    assert outside.read_bytes() == KEY.sign(NEW_BYTES)


def test_concurrent_writers_leave_a_report_with_its_own_signature(tmp_path: Path) -> None:
    records = (OLD, NEW)

    def writer(at: int) -> None:
        for _ in range(40):
            write_report(tmp_path, records[at % 2], signing_key(f"key {at}").sign if at < 3 else None)

    with ThreadPoolExecutor() as pool:
        writers = [pool.submit(writer, at) for at in range(4)]
        while not all(future.done() for future in writers):
            with _unchanging(tmp_path):
                content, signature = _read(tmp_path / NAME), _read(tmp_path / SIGNATURE)
            assert signature is None or (content is not None and matches(content, signature))
    for future in writers:
        future.result()
    assert set(os.listdir(tmp_path)) <= {NAME, SIGNATURE}


def _read(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


@contextmanager
def _unchanging(directory: Path) -> Iterator[None]:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        with locked(descriptor, exclusive=False):
            yield
    finally:
        os.close(descriptor)
