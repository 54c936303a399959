"""A server that forks Python processes with the program already imported; :mod:`.python_process` starts it.

Importing Dagster takes most of the CPU time of a short command. A forked process is a real one in every other respect:
it has its own process id, environment, working directory and standard streams, and it can be killed.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import json
import os
import select
import signal
import socket
import sys
import threading
import time
import types
from typing import Any

_LONGEST_MESSAGE = 1_000_000


def import_program() -> None:
    """Import what the commands import, including the modules that Dagster and Alembic import when first used."""
    import alembic.context  # noqa: F401
    import dagster as dg

    import orgrecon_pipeline.__main__
    import orgrecon_pipeline.cli.app
    import orgrecon_pipeline.defs.build
    import orgrecon_pipeline.defs.in_process  # noqa: F401
    from orgrecon_pipeline.config.mapping_file import default_mapping

    default_mapping()
    with dg.DagsterInstance.ephemeral():
        pass


def serve(listener: socket.socket, lifeline: int) -> dict[str, Any]:
    """Fork one process for each request; return only in a forked process, with its request.

    A client connects, sends one JSON line together with the file descriptors of the three standard streams, and
    receives two lines: the process id, and at the end of the process the status that ``os.waitpid`` returned.

    Args:
        listener: socket on which the clients connect.
        lifeline: read end of a pipe; at its end of file, the server kills its processes and exits.
    """
    running: dict[int, socket.socket] = {}
    wake_reader, wake_writer = os.pipe()
    os.set_blocking(wake_writer, False)
    signal.set_wakeup_fd(wake_writer)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    while True:
        ready, _, _ = select.select([listener, lifeline, wake_reader], [], [])
        if lifeline in ready:
            for pid in running:
                os.kill(pid, signal.SIGKILL)
            sys.exit()
        if wake_reader in ready:
            os.read(wake_reader, 4096)
            _report_exits(running)
        if listener not in ready:
            continue
        client, _ = listener.accept()
        message, streams, _, _ = socket.recv_fds(client, _LONGEST_MESSAGE, 3)
        while message and not message.endswith(b"\n"):
            message += client.recv(_LONGEST_MESSAGE)
        if not message:  # the client was killed before its request
            client.close()
            continue
        if (pid := os.fork()) == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for inherited in (listener, client, *running.values()):
                inherited.close()
            for descriptor in (lifeline, wake_reader, wake_writer):
                os.close(descriptor)
            for number, descriptor in enumerate(streams):
                os.dup2(descriptor, number)
                os.close(descriptor)
            return dict(json.loads(message))
        for descriptor in streams:
            os.close(descriptor)
        running[pid] = client
        client.sendall(b"%d\n" % pid)


def _report_exits(running: dict[int, socket.socket]) -> None:
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        with running.pop(pid) as client, contextlib.suppress(BrokenPipeError):
            client.sendall(b"%d\n" % status)


def run(code: str, arguments: list[str], cwd: str, env: dict[str, str], new_session: bool) -> None:
    """Run ``code`` as ``python -c`` would."""
    if new_session:
        os.setsid()
    os.environ.clear()
    os.environ.update(env)
    time.tzset()
    os.chdir(cwd)
    # The server's stream objects remember what kind of file they were opened on.
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        old = getattr(sys, name)
        new = open(number, old.mode, 1 if name == "stderr" else -1, old.encoding, old.errors, closefd=False)  # noqa: SIM115
        setattr(sys, name, new)
        setattr(sys, f"__{name}__", new)
    sys.argv = ["-c", *arguments]
    sys.modules["__main__"] = program = types.ModuleType("__main__")
    exec(compile(code, "<string>", "exec"), program.__dict__)


def end(status: object) -> None:
    """Exit as ``sys.exit(status)`` would, but without the slow clean-up of every module."""
    if status is not None and not isinstance(status, int):
        print(status, file=sys.stderr)
        status = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        status = 120
    os._exit((status or 0) & 0xFF)


if __name__ == "__main__":
    gc.disable()
    import_program()
    gc.freeze()
    gc.enable()
    request = serve(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]))
    try:
        run(**request)
    except SystemExit as exit:
        end(exit.code)
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
        if isinstance(error, KeyboardInterrupt):
            sys.stdout.flush()
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGINT)
        end(1)
    else:
        end(0)
