"""A command on a pseudo-terminal that a test answers."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

from orgrecon_pipeline_tests.support.environ import inherited_environ
from orgrecon_pipeline_tests.support.python_process import ORGRECON

_SECONDS = 60.0
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Conversation:
    """The command ``orgrecon`` on a terminal of 200 columns."""

    def __init__(self, directory: Path, *arguments: str, **environ: str) -> None:
        self._ours, theirs = pty.openpty()
        self._process = subprocess.Popen(
            [sys.executable, "-c", ORGRECON, *arguments], stdin=theirs, stdout=theirs, stderr=theirs, cwd=directory,
            env={**inherited_environ(), **environ, "COLUMNS": "200", "TERM": "xterm"}, start_new_session=True)
        os.close(theirs)
        self.screen = ""

    def __enter__(self) -> Conversation:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._ours)

    def answer(self, question: str, text: str) -> str:
        """Wait for a question, answer it, and return what was printed before the question's end."""
        printed = self._read_until(question)
        os.write(self._ours, f"{text}\n".encode())
        return printed

    def interrupt(self, question: str) -> None:
        """Wait for a question, and interrupt the command as Ctrl+C does."""
        self._read_until(question)
        self._process.send_signal(signal.SIGINT)
        os.write(self._ours, b"\n")  # Python notices a signal just before its read only after the read

    def end_input(self, question: str) -> None:
        """Wait for a question, and end the input as Ctrl+D does."""
        self._read_until(question)
        os.write(self._ours, b"\x04")

    def end(self) -> tuple[int, str]:
        """Wait for the end, and return the exit code and what was printed since the last answer."""
        printed = self._read_until(None)
        return self._process.wait(_SECONDS), printed

    def _read_until(self, text: str | None) -> str:
        start, deadline = len(self.screen), time.monotonic() + _SECONDS
        while text is None or text not in self.screen[start:]:
            ready, _, _ = select.select([self._ours], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"{text!r} is not on the screen:\n{self.screen}"
            try:
                read = os.read(self._ours, 65_536)
            except OSError:  # on Linux, the end of a terminal whose process has ended
                read = b""
            if not read:
                assert text is None, f"ended before {text!r}:\n{self.screen}"
                break
            self.screen = _ESCAPES.sub("", self.screen + read.decode("utf-8", "replace"))
        return self.screen[start:]
