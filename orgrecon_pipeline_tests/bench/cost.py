"""What a piece of work costs the server, read from the operating system (Linux)."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")
_SAMPLE_SECONDS = 0.05


@dataclass
class ServerCost:
    """CPU seconds of all processes of a server, and memory of the largest one; a context manager.

    Memory is sampled, so a process that lives shorter than a twentieth of a second can be missed. Shared buffers are
    not counted.
    """

    postmaster: int
    cpu_seconds: float = 0.0
    peak_mb: float = 0.0
    _stop: threading.Event = field(default_factory=threading.Event, repr=False)

    def __enter__(self) -> ServerCost:
        self._started = cpu_seconds(self.postmaster)
        self._sampler = threading.Thread(target=self._sample, daemon=True)
        self._sampler.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._sampler.join()
        self.cpu_seconds = cpu_seconds(self.postmaster) - self._started

    def _sample(self) -> None:
        while not self._stop.wait(_SAMPLE_SECONDS):
            self.peak_mb = max([self.peak_mb, *(status_mb(pid, "RssAnon") for pid in _children(self.postmaster))])


def cpu_seconds(postmaster: int) -> float:
    """Return the CPU seconds of a postmaster and of all its children, the ended ones included."""
    while True:
        reaped = _stat(postmaster, 15, 17)
        ticks = sum(_stat(postmaster, 13, 15)) + sum(sum(_stat(child, 13, 15)) for child in _children(postmaster))
        # A child that the postmaster reaped in between would be counted nowhere, or twice.
        if reaped == _stat(postmaster, 15, 17):
            return (ticks + sum(reaped)) / _TICKS


def status_mb(pid: int | str, name: str) -> float:
    """Return a line of a process's status in MB: ``VmHWM`` or ``RssAnon``; 0 if the process has ended."""
    try:
        lines = (_PROC / str(pid) / "status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:"))


def _children(pid: int) -> list[int]:
    return [int(child) for child in (_PROC / str(pid) / "task" / str(pid) / "children").read_text().split()]


def _stat(pid: int, first: int, end: int) -> list[int]:
    # Counted as proc(5) does, from 0. The name of the program, in brackets, can hold spaces.
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return [0]  # it has ended
    fields = text.rpartition(")")[2].split()
    return [int(value) for value in fields[first - 2:end - 2]]
