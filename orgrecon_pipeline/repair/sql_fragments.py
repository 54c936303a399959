"""Fragments of SQL text: template files, literals, identifiers and selections of the compared rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import resources
from typing import Any

from orgrecon_pipeline.domain.canonical import sha256_of
from orgrecon_pipeline.domain.mapping.model import TENANT_COLUMN, Relation


def template(name: str) -> str:
    """Return a file of this package's ``sql`` folder; its ``{fields}`` are for :meth:`str.format`."""
    return resources.files("orgrecon_pipeline.repair.sql").joinpath(name).read_text(encoding="utf-8")


def dollar_tag(content: Any) -> str:
    """Return a tag for dollar quotes that cannot occur in ``content``, because it is derived from it."""
    return f"orgrecon_{sha256_of(content)[:12]}"


def literal(text: str) -> str:
    """Return a text as an SQL literal in one line."""
    # E'' does not depend on standard_conforming_strings.
    escaped = text.replace("'", "''").replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    return f"E'{escaped}'"


def array_literal(texts: Iterable[str]) -> str:
    """Return texts as an untyped SQL literal of an array; Postgres takes its type from the context."""
    elements = (text.replace("\\", "\\\\").replace('"', '\\"') for text in texts)
    return literal("{" + ",".join(f'"{element}"' for element in elements) + "}")


def quoted(name: str) -> str:
    """Return a logical name as an SQL identifier; the mapping allows no name that needs escaping."""
    return f'"{name}"'


def parenthesised(text: str) -> str:
    """Put parentheses around a fragment of the mapping, after any comment at its end."""
    return f"({text}\n)" if "--" in text else f"({text})"


def output_column(relation: Relation, name: str) -> str:
    """Return the expression of a logical column with its name."""
    return f"{parenthesised(relation.columns[name])} AS {quoted(name)}"


def select(relation: Relation, output: Iterable[str], tenants: str, where: str | None, *conditions: str) -> str:
    """Return a SELECT over a relation, for the tenants in the array literal ``tenants``.

    ``where`` is a condition of the mapping; the relation's own is not used.
    """
    all_conditions = [
        *([parenthesised(where)] if where else []),
        f"{parenthesised(relation.columns[TENANT_COLUMN])} = ANY ({tenants})", *conditions,
    ]
    columns, conjunction = ",\n       ".join(output), "\n  AND ".join(all_conditions)
    return f"SELECT {columns}\nFROM {relation.from_}\nWHERE {conjunction}"


def select_side(relations: Iterable[Relation], columns: Sequence[str], tenants: str) -> str:
    """Return a SELECT over all relations of one side, for the tenants in the array literal ``tenants``."""
    return "\nUNION ALL\n".join(
        select(relation, [output_column(relation, name) for name in columns], tenants, relation.where)
        for relation in relations)
