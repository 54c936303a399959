"""SQL from the files of this package, and fragments of SQL from the mapping."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import TypeAlias, cast

from psycopg import sql
from typing_extensions import LiteralString

Statement: TypeAlias = "sql.SQL | sql.Composed"


@cache
def load_sql(path: str) -> sql.SQL:
    """Return the statement of a file, such as ``compare/sql/drift.sql``."""
    text = resources.files("orgrecon_pipeline").joinpath(path).read_text(encoding="utf-8")
    return sql.SQL(cast("LiteralString", text))


def fragment(text: str) -> sql.SQL:
    """Return a fragment of the mapping's SQL, in which ``%`` is not a placeholder. It ends its line."""
    return sql.SQL(cast("LiteralString", text.replace("%", "%%") + "\n"))


def where_clause(condition: str | None) -> sql.Composable:
    """Return the WHERE clause of the mapping's condition; empty without one."""
    return sql.SQL("WHERE ({})").format(fragment(condition)) if condition else sql.SQL("")
