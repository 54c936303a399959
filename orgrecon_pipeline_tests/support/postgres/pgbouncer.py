"""pgbouncer before a server."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from orgrecon_pipeline.demo.postgres_binaries import identity
from orgrecon_pipeline_tests.support.deploy.tools import installed
from orgrecon_pipeline_tests.support.operations.concurrency import wait_until
from orgrecon_pipeline_tests.support.postgres.second_server import free_port

_CONFIGURATION = """
[databases]
{database} = host={socket} port=5432 user={user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
logfile = {directory}/log
"""


@contextmanager
def pgbouncer(dsn: str, mode: str) -> Iterator[str]:
    """Yield the DSN of a pgbouncer in a pool mode before the database of a DSN."""
    program, parts, port = installed("pgbouncer"), urlsplit(dsn), free_port()
    database = unquote(parts.path[1:])
    directory = Path(tempfile.mkdtemp(prefix="orgrecon-bouncer-"))
    run_as = {}
    if os.geteuid() == 0:  # pgbouncer refuses to run as root
        user, group = identity(Path("/none"))
        os.chown(directory, user, group)
        run_as = {"user": user, "group": group, "extra_groups": []}
    (directory / "ini").write_text(_CONFIGURATION.format(
        database=database, socket=parse_qs(parts.query)["host"][0], user=parts.username, port=port, mode=mode,
        directory=directory))
    (directory / "ini").chmod(0o644)
    with (directory / "output").open("wb") as output:
        process = subprocess.Popen([program, str(directory / "ini")], stdout=output, stderr=output, cwd="/", **run_as)
    try:
        wait_until(lambda: _listens(port) or process.poll() is not None)
        assert process.poll() is None, (directory / "output").read_text()
        yield f"postgresql://{parts.username}@127.0.0.1:{port}/{database}"
    finally:
        process.terminate()
        process.wait(60)
        shutil.rmtree(directory)


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False
