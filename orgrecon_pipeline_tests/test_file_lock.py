"""File locks: modes, releases, and lock files that are removed while another process is about to lock them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from orgrecon_pipeline import file_lock
from orgrecon_pipeline.file_lock import FileLock, temporary_file_lock, try_lock


def is_free(path: Path) -> bool:
    with temporary_file_lock(path) as locked:
        return locked


def test_shared_locks_exclude_an_exclusive_lock_until_all_are_released(tmp_path: Path) -> None:
    first, second, third = (FileLock(tmp_path / "lock") for _ in range(3))
    assert first.acquire(exclusive=False, wait=False)
    assert second.acquire(exclusive=False, wait=False)
    assert not third.acquire(wait=False)
    first.release()
    assert not third.acquire(wait=False)
    second.close()
    assert third.acquire(wait=False)
    assert not first.acquire(exclusive=False, wait=False)
    third.release()
    assert first.acquire(exclusive=False, wait=False), "a released lock can be acquired again"


def test_file_lock_as_context_manager_keeps_the_file(tmp_path: Path) -> None:
    with FileLock(tmp_path / "lock"):
        assert not FileLock(tmp_path / "lock").acquire(wait=False)
    assert FileLock(tmp_path / "lock").acquire(wait=False)


def test_try_lock_refuses_a_second_descriptor(tmp_path: Path) -> None:
    with (tmp_path / "lock").open("w") as first, (tmp_path / "lock").open("w") as second:
        assert try_lock(first.fileno())
        assert not try_lock(second.fileno())


def test_temporary_file_lock_exists_only_while_it_is_held(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with temporary_file_lock(path) as locked:
        assert locked
        assert path.exists()
        assert not is_free(path)
    assert list(tmp_path.iterdir()) == []


def test_temporary_file_lock_refuses_a_symbolic_link(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic"):
        is_free(tmp_path / "lock")


def test_temporary_file_lock_whose_file_is_removed_before_it_is_locked_locks_the_new_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The holder releases the lock after the next process has opened the file, and before it locks the file."""
    path = tmp_path / "lock"
    holder = temporary_file_lock(path)
    holder.__enter__()
    real_open, opened = os.open, []

    def open_and_release_holder(name: Any, *arguments: Any) -> int:
        opened.append(real_open(name, *arguments))
        if len(opened) == 1:
            holder.__exit__(None, None, None)
        return opened[-1]

    monkeypatch.setattr(file_lock.os, "open", open_and_release_holder)
    with temporary_file_lock(path) as locked:
        monkeypatch.undo()
        assert locked
        assert len(opened) == 2
        assert not is_free(path), "the locked file is the one that others open"
    assert is_free(path)


def test_temporary_file_lock_whose_file_was_deleted_does_not_release_its_successor(tmp_path: Path) -> None:
    """Deleting the file by hand breaks one lock, and not the lock that is created after it."""
    path = tmp_path / "lock"
    with temporary_file_lock(path):
        path.unlink()
        second = temporary_file_lock(path)
        assert second.__enter__()
    assert not is_free(path), "the end of the first lock does not end the second"
    second.__exit__(None, None, None)
    assert is_free(path)
