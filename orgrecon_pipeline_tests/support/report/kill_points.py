"""Script that writes one report repeatedly and kills the writer with SIGKILL at another system call each time.

``kill_points.py DIRECTORY NEW [KEY]``: for every call, and for the moments before it, halfway through it and after it,
copy DIRECTORY/start to DIRECTORY/<number>, and let a forked process write the record of the file NEW there, sign it if
there is a KEY, and kill itself.
Print one line per attempt: the number, the call, the moment, and whether the process was killed.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

from orgrecon_pipeline.domain.record import Record
from orgrecon_pipeline.report import write
from orgrecon_pipeline.report.signature import SigningKey
from orgrecon_pipeline_tests.support.default_identity import read_report

CALLS = {"open", "write", "fsync", "replace", "unlink", "close", "stat", "fstat", "listdir"}


class KillingOs:
    """The module ``os``, which counts the calls and kills the process at one of them."""

    def __init__(self, victim: int, moment: str) -> None:
        self.victim, self.moment, self.count, self.name = victim, moment, 0, ""

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        if name not in CALLS:
            return real

        def call(*args: Any, **kwargs: Any) -> Any:
            self.count += 1
            if self.count != self.victim:
                return real(*args, **kwargs)
            os.write(3, name.encode())
            if self.moment == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.moment == "halfway" and name == "write":
                args = (args[0], args[1][: len(args[1]) // 2])
            try:
                return real(*args, **kwargs)
            finally:
                os.kill(os.getpid(), signal.SIGKILL)

        return call


def attempt(
    directory: Path, record: Record, key: SigningKey | None, victim: int, moment: str
) -> tuple[str, bool]:
    """Return the name of the last call, and whether the process was killed at it."""
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(send, 3)
        write.os = KillingOs(victim, moment)  # type: ignore[attr-defined, assignment]
        write.write_report(directory, record, key.sign if key else None)
        os._exit(0)
    os.close(send)
    _, status = os.waitpid(child, 0)
    with open(receive, "rb") as pipe:
        name = pipe.read().decode()
    return name, os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def main(base: Path, new: Path, key_file: Path | None) -> None:
    record = read_report(new)
    key = SigningKey.parse(key_file.read_bytes()) if key_file else None
    number = 0
    for moment in ("before", "halfway", "after"):
        victim, killed = 0, True
        while killed:
            victim, number = victim + 1, number + 1
            directory = base / str(number)
            shutil.copytree(base / "start", directory, symlinks=True)
            name, killed = attempt(directory, record, key, victim, moment)
            print(number, name or "-", moment, killed)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]) if len(sys.argv) > 3 else None)
