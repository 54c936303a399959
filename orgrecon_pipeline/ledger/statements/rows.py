"""Bulk inserts, and the form in which values are stored."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from datetime import date
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.exc import DBAPIError

from orgrecon_pipeline.domain.errors import EvidenceNotStored

_CHUNK = 10_000  # rows
# A NUL as json.dumps writes it. With an even number of backslashes, u0000 is text.
_ESCAPED_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


def insert_rows(connection: Connection, table: Table, rows: Iterable[Sequence[Any]]) -> None:
    """Insert rows, whose values are in the order of the table's columns, as a stream: with COPY on Postgres."""
    names = ", ".join(f'"{column.name}"' for column in table.columns)
    if connection.dialect.name == "postgresql":
        _copy(connection, f'COPY "{table.name}" ({names}) FROM STDIN', rows)
        return
    statement = f'INSERT INTO "{table.name}" ({names}) VALUES ({", ".join("?" for _ in table.columns)})'  # noqa: S608
    iterator = iter(rows)
    while chunk := [tuple(row) for row in islice(iterator, _CHUNK)]:
        connection.exec_driver_sql(statement, chunk)


def _copy(connection: Connection, statement: str, rows: Iterable[Sequence[Any]]) -> None:
    import psycopg

    driver: Any = connection.connection.driver_connection
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)
    except psycopg.Error as error:
        # The same error that SQLAlchemy would raise; it does not show the rows.
        raise DBAPIError.instance(statement, None, error, psycopg.Error, hide_parameters=True) from None


def storable(text: str) -> str:
    """Return the text, which both databases must store unchanged."""
    try:
        if b"\x00" not in text.encode("utf-8"):
            return text
    except UnicodeEncodeError:
        pass
    raise EvidenceNotStored("the evidence was not stored: a text in it holds a NUL or half a surrogate pair, which "
                            "Postgres cannot store: correct the text at its source.")


def json_text(value: Any) -> str:
    """Return JSON that parses to the same value, with keys in the same order."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (ValueError, TypeError, RecursionError):
        raise EvidenceNotStored("the evidence was not stored: JSON cannot represent a value in it.") from None
    return storable(_ESCAPED_NUL.sub("\x00", text))  # an escaped NUL is refused like any other


def iso_day(day: date | None) -> str | None:
    """Return a day as both databases accept it in a bulk insert."""
    return None if day is None else day.isoformat()
