"""Runs one PostgreSQL server for as long as any process holds its lock; started as a script by ``server.py``.

A server that a test or a demo starts must not outlive it, however that ends. A handler at exit does not see a
SIGKILL; the kernel does: it releases the locks of a dead process. So every user of the server holds ``users.lock``
shared, and this process waits for it exclusively, which it gets when the last user is gone.

    python postmaster.py LOCK_FILE DIRECTORY UID GID COMMAND…

DIRECTORY is removed with the server; it may be empty.

Standard library only: it runs isolated, before anything of ours is importable.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import threading


def main(lock_file: str, directory: str, uid: str, gid: str, *command: str) -> int:
    """Runs the command as that user until the lock is free; returns its exit code."""
    identity = {"user": int(uid), "group": int(gid), "extra_groups": []} if os.geteuid() == 0 else {}
    lock = os.open(lock_file, os.O_RDWR)
    server = subprocess.Popen(command, **identity)  # type: ignore[call-overload]  # noqa: S603

    def stop_when_unused() -> None:
        fcntl.flock(lock, fcntl.LOCK_EX)
        server.send_signal(signal.SIGINT)  # "fast": rolls back what is open, and loses nothing that is committed

    threading.Thread(target=stop_when_unused, daemon=True).start()
    # The lock is held until this process ends, so that nobody attaches to a server that is stopping.
    code = int(server.wait())
    if directory:
        shutil.rmtree(directory, ignore_errors=True)
    return code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
