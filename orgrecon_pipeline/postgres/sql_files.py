"""SQL from this package's files, and from the mapping."""

from __future__ import annotations

from importlib import resources
from typing import TypeAlias, cast

from psycopg import sql
from typing_extensions import LiteralString

Statement: TypeAlias = "sql.SQL | sql.Composed"


def load_sql(package: str, name: str) -> sql.SQL:
    """Return the statement in ``sql/<name>`` of a subpackage, such as ``compare``."""
    text = resources.files(f"orgrecon_pipeline.{package}").joinpath("sql").joinpath(name).read_text(encoding="utf-8")
    return sql.SQL(cast("LiteralString", text))


def fragment(text: str) -> sql.SQL:
    """A piece of the mapping's SQL; its ``%`` are not placeholders."""
    return sql.SQL(cast("LiteralString", text.replace("%", "%%") + "\n"))


def where_clause(condition: str | None) -> sql.Composable:
    """The WHERE clause of a condition of the mapping, if it has one."""
    return sql.SQL("WHERE ({})").format(fragment(condition)) if condition else sql.SQL("")
