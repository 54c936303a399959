"""Script that runs a PostgreSQL server until no process holds its lock; started by ``server.py``.

The server must not outlive the test or demo that started it, even after SIGKILL, which no exit handler sees. Every
user of the server therefore holds ``users.lock`` shared, and the kernel releases the lock of a dead process. This
script waits for an exclusive lock, which it obtains when the last user has gone.

    python postmaster.py LOCK_FILE DIRECTORY UID GID COMMAND…

DIRECTORY is removed after the server has stopped; it may be empty. The script runs isolated (``python -I``), so it
uses only the standard library.
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
    """Run the command as the given user until the lock is free; return its exit code."""
    identity = {"user": int(uid), "group": int(gid), "extra_groups": []} if os.geteuid() == 0 else {}
    lock = os.open(lock_file, os.O_RDWR)
    server = subprocess.Popen(command, **identity)  # type: ignore[call-overload]  # noqa: S603

    def stop_when_unused() -> None:
        fcntl.flock(lock, fcntl.LOCK_EX)
        server.send_signal(signal.SIGINT)  # fast shutdown: open transactions are rolled back

    threading.Thread(target=stop_when_unused, daemon=True).start()
    # The lock is held until this process ends, so that no process attaches to a server that is stopping.
    code = int(server.wait())
    if directory:
        shutil.rmtree(directory, ignore_errors=True)
    return code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
