"""CPU time of a PostgreSQL server. Unlike seconds, it is comparable on a busy machine. Linux only."""

from __future__ import annotations

import os
from pathlib import Path

# Positions in /proc/PID/stat after the name of the program.
_OWN, _OF_ENDED_CHILDREN = slice(11, 13), slice(13, 15)


def server_cpu_seconds(postmaster: int) -> float:
    """Return the CPU time of all processes that the postmaster has started so far, without its own."""
    ticks = _ticks(postmaster, _OF_ENDED_CHILDREN)
    for child in Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text(encoding="ascii").split():
        ticks += _ticks(int(child), _OWN)
    return ticks / os.sysconf("SC_CLK_TCK")


def _ticks(pid: int, which: slice) -> int:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except FileNotFoundError:  # ended in the meantime, and is counted by the next call
        return 0
    return sum(map(int, stat.rpartition(")")[2].split()[which]))
