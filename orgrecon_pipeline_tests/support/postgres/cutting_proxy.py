"""TCP proxy before a server's socket that refuses connections, or cuts one at a chosen moment."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

_CHUNK = 65_536


class CuttingProxy:
    """A proxy that forwards to the socket of a DSN, which ``url`` replaces.

    Attributes:
        messages: the number of messages from clients, since the last call of :meth:`cut`.
        cut_at: the number of the message at which the connection is cut, once.
    """

    def __init__(self, dsn: str) -> None:
        parts = urlsplit(dsn)
        self.messages, self.cut_at, self._after_answer = 0, 0, False
        self._socket = str(Path(parse_qs(parts.query)["host"][0], ".s.PGSQL.5432"))
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listening: socket.socket | None = None
        self._port = 0
        self.up()
        self.url = (f"postgresql://{parts.username}@127.0.0.1:{self._port}{parts.path}"
                    "?sslmode=disable&gssencmode=disable")

    def up(self, *_: object) -> None:
        """Accept connections."""
        if self._listening is None:
            self._listening = socket.create_server(("127.0.0.1", self._port))
            self._port = self._listening.getsockname()[1]
            threading.Thread(target=self._serve, args=(self._listening,), daemon=True).start()

    def down(self, *_: object) -> None:
        """Refuse connections, and cut those that are open."""
        listening, self._listening = self._listening, None
        if listening is not None:
            listening.shutdown(socket.SHUT_RDWR)
            listening.close()
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            _close(connection)

    def cut(self, message: int, *, after_answer: bool) -> None:
        """Cut the connection of the next message with this number, from 1 on.

        ``after_answer``: when the server has answered, and without its answer; else before the message is forwarded.
        """
        self.messages, self.cut_at, self._after_answer = 0, message, after_answer

    def _serve(self, listening: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listening.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._socket)
                with self._lock:
                    self._open |= {client, server}
                threading.Thread(target=self._forward, args=(client, server), daemon=True).start()
                threading.Thread(target=self._return, args=(client, server), daemon=True).start()

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while message := client.recv(_CHUNK):
                self.messages += 1
                cut = self.messages == self.cut_at
                if cut and not self._after_answer:
                    break
                if cut:
                    # From here on nothing is returned; the server's answer shows that it has done its work.
                    with self._lock:
                        self._open.discard(client)
                server.sendall(message)
        if not (self._after_answer and self.messages == self.cut_at):
            _close(client)
            _close(server)

    def _return(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while answer := server.recv(_CHUNK):
                with self._lock:
                    cut = client not in self._open
                if cut:
                    break
                client.sendall(answer)
        _close(client)
        _close(server)


def _close(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


@contextmanager
def cutting_proxy(dsn: str) -> Iterator[CuttingProxy]:
    """Yield a proxy before the server of a DSN."""
    proxy = CuttingProxy(dsn)
    try:
        yield proxy
    finally:
        proxy.down()
