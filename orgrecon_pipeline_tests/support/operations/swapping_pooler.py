"""Faulty connection pooler that routes later transactions of a client to another server."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

_REFUSABLE = {80877103, 80877104}  # requests for TLS and for GSS encryption
_IDLE = b"I"


@contextmanager
def swapping_pooler(first: str, second: str, *, after: int) -> Iterator[str]:
    """Yield the DSN of a pooler that switches each client to the second database after ``after`` transactions.

    With ``after=0`` the first client always uses the first database, and all other clients use the second.
    """
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        threading.Thread(target=_serve, args=(listening, first, second, after), daemon=True).start()
        user, database = urlsplit(first).username, unquote(urlsplit(first).path[1:])
        yield f"postgresql://{user}@127.0.0.1:{listening.getsockname()[1]}/{database}"


def _serve(listening: socket.socket, first: str, second: str, after: int) -> None:
    with suppress(OSError):
        while True:
            client, _ = listening.accept()
            threading.Thread(target=_pool, args=(client, first, second, after), daemon=True).start()
            first = first if after else second


def _pool(client: socket.socket, first: str, second: str, after: int) -> None:
    """Forward one request and its response at a time."""
    with suppress(OSError, EOFError), closing(client):
        _refuse_encryption(client)
        servers = [_logged_in(dsn) for dsn in (first, second)]
        client.sendall(servers[0][1])
        serving, transactions = servers[0][0], 0
        while True:
            request = b""
            while True:
                message = _message(client)
                request += message
                if message[:1] in (b"Q", b"S", b"X"):  # Query, Sync, Terminate
                    break
            serving.sendall(request)
            answer, status = _answer(serving)
            if status == _IDLE and b"ROLLBACK" in request:
                transactions += 1
                if transactions == after:
                    serving = servers[1][0]
            client.sendall(answer)


def _refuse_encryption(client: socket.socket) -> None:
    while True:
        length, code = struct.unpack("!II", _exactly(client, 8))
        _exactly(client, length - 8)
        if code not in _REFUSABLE:
            return
        client.sendall(b"N")


def _logged_in(dsn: str) -> tuple[socket.socket, bytes]:
    """Connect to a server without authentication, and return its messages up to the first ReadyForQuery."""
    parts = urlsplit(dsn)
    server = socket.socket(socket.AF_UNIX)
    server.connect(str(Path(parse_qs(parts.query)["host"][0], ".s.PGSQL.5432")))
    parameters = {"user": parts.username or "", "database": unquote(parts.path[1:]), "application_name": "orgrecon",
                  "client_encoding": "UTF8"}
    body = struct.pack("!I", 196608) + b"".join(
        f"{name}\0{value}\0".encode() for name, value in parameters.items()) + b"\0"
    server.sendall(struct.pack("!I", len(body) + 4) + body)
    return server, _answer(server)[0]


def _answer(server: socket.socket) -> tuple[bytes, bytes]:
    """Return everything up to the next ReadyForQuery, and its transaction status."""
    answer = b""
    while True:
        message = _message(server)
        answer += message
        if message[:1] == b"Z":
            return answer, message[5:6]


def _message(side: socket.socket) -> bytes:
    head = _exactly(side, 5)
    [length] = struct.unpack("!I", head[1:])
    return head + _exactly(side, length - 4)


def _exactly(side: socket.socket, count: int) -> bytes:
    read = b""
    while len(read) < count:
        part = side.recv(count - len(read))
        if not part:
            raise EOFError
        read += part
    return read
