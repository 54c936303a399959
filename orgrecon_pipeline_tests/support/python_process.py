"""Python processes for tests, forked from a server that has already imported the program."""

from __future__ import annotations

import functools
import inspect
import itertools
import json
import os
import select
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orgrecon_pipeline_tests.support.environ import inherited_environ

#: What the console script ``orgrecon`` runs.
ORGRECON = "from orgrecon_pipeline.__main__ import main; main()"
_ROOT = Path(__file__).parents[2]
# Beginnings of the variables that the interpreter itself reads when it starts.
_INTERPRETER_VARIABLES = ("PYTHON", "LC_", "LANG", "LD_")
# Beginnings of the variables of libfaketime, which is loaded into a fork server of its own.
_CLOCK_VARIABLES = ("LD_PRELOAD", "FAKETIME", "DONT_FAKE")
_numbers = itertools.count()


def start_python(code: str, *arguments: str, fresh: bool = False, **options: Any) -> subprocess.Popen[str]:
    """Start ``python -c code arguments`` with piped text streams.

    Args:
        fresh: Start a new interpreter instead of a fork. That also happens if the environment would change how the
            interpreter starts.
        options: Further arguments of :class:`subprocess.Popen`, such as ``cwd`` and ``env``.
    """
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    popen = subprocess.Popen if fresh or _starts_differently(options.get("env")) else _ForkedPopen
    return popen([sys.executable, "-c", code, *arguments], text=True, encoding="utf-8", **{**pipes, **options})


def run_python(
    code: str, *arguments: str, input: str | None = None, timeout: float = 120, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run ``python -c code arguments`` to its end; see :func:`start_python`."""
    with start_python(code, *arguments, **options) as process:
        try:
            out, err = process.communicate(input, timeout)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def write_orgrecon_program(path: Path, code: str = ORGRECON) -> None:
    """Write an executable that runs ``orgrecon`` as a process of the fork server, for scripts that tests run."""
    path.write_text(_PROGRAM.format(python=sys.executable, server=_server_path(), code=code), encoding="utf-8")
    path.chmod(0o755)


_PROGRAM = """#!{python} -IS
import json, os, socket, sys
server = socket.socket(socket.AF_UNIX)
server.connect({server!r})
request = {{"code": {code!r}, "arguments": sys.argv[1:], "cwd": os.getcwd(), "env": dict(os.environ),
           "new_session": False}}
message = json.dumps(request).encode() + b"\\n"
server.sendall(message[socket.send_fds(server, [message], [0, 1, 2]):])
_, status = server.makefile()
sys.exit(os.waitstatus_to_exitcode(int(status)))
"""


def _starts_differently(environ: Mapping[str, str] | None) -> bool:
    return any(os.environ.get(name) != value for name, value in (environ or {}).items()
               if name.startswith(_INTERPRETER_VARIABLES) and not name.startswith(_CLOCK_VARIABLES))


def _clock_of(environ: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, value) for name, value in environ.items() if name.startswith(_CLOCK_VARIABLES)))


class _ForkedPopen(subprocess.Popen[str]):
    """A process that the fork server starts and waits for; its command is ``[python, "-c", code, …]``."""

    def _execute_child(self, *arguments: Any) -> None:
        given = inspect.signature(super()._execute_child).bind(*arguments).arguments
        _, _, code, *rest = given["args"]
        pipes = [given[name] for name in ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")]
        streams = [number if stream == -1 else stream for number, stream in enumerate((pipes[0], pipes[3], pipes[5]))]
        environ = os.environ if given["env"] is None else given["env"]
        request = {"code": code, "arguments": rest, "cwd": str(given["cwd"] or Path.cwd()), "env": dict(environ),
                   "new_session": given["start_new_session"]}
        message = json.dumps(request).encode() + b"\n"
        self._answers = socket.socket(socket.AF_UNIX)
        self._answers.connect(_server_path(_clock_of(environ)))
        sent = socket.send_fds(self._answers, [message], streams)
        self._answers.sendall(message[sent:])
        self.pid = int(_read_line(self._answers))
        self._child_created = True
        self._close_pipe_fds(*pipes)

    def _internal_poll(self, *_: Any, **__: Any) -> int | None:
        if self.returncode is None and select.select([self._answers], [], [], 0)[0]:
            self._wait(None)
        return self.returncode

    def _wait(self, timeout: float | None) -> int | None:
        if self.returncode is None:
            if not select.select([self._answers], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            with self._answers:
                self.returncode = os.waitstatus_to_exitcode(int(_read_line(self._answers)))
        return self.returncode


def _read_line(connection: socket.socket) -> str:
    line = b""
    while not line.endswith(b"\n"):
        piece = connection.recv(1)
        assert piece, "the fork server has ended"
        line += piece
    return line.decode()


@functools.cache
def _server_path(clock: tuple[tuple[str, str], ...] = ()) -> str:
    """Start a fork server of this test process and return the path of its socket; it ends with the test process.

    Args:
        clock: variables of libfaketime for a server whose processes have a shifted clock.
    """
    path = Path(_temporary_directory().name, f"socket{next(_numbers)}")
    own = {name: value for name, value in inherited_environ().items() if not name.startswith(_CLOCK_VARIABLES)}
    lifeline, _ = os.pipe()  # the other end stays open as long as this process lives
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        inherited = [listener.fileno(), lifeline]
        subprocess.Popen(
            [sys.executable, "-m", "orgrecon_pipeline_tests.support.fork_server", *map(str, inherited)], cwd=_ROOT,
            env={**own, **dict(clock)}, pass_fds=inherited, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            start_new_session=True)
    os.close(lifeline)
    return str(path)


@functools.cache
def _temporary_directory() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="orgrecon-fork-")
