"""What is looked at before a batch writes: whether more would happen to the target than is written to it."""

from __future__ import annotations

from collections.abc import Iterable

from orgrecon_pipeline.domain.canonical import sha256_of
from orgrecon_pipeline.repair.sql_literals import array_literal, literal, template
from orgrecon_pipeline.repair.target_shape import Lookup, Shape, unquoted


def guard(
    entity: str, shape: Shape, referring: Iterable[tuple[str, Lookup]], *, removes: bool, updated: Iterable[str],
    written: Iterable[str],
) -> str:
    """A block that ends the batch when the target of an entity cannot be written safely.

    Args:
        entity: its name.
        shape: its target, turned round.
        referring: the tables that look values up in its table, each with how.
        removes: whether rows may be removed.
        updated: the columns that may be written in rows that are there.
        written: the columns that may be written in any row.
    """
    known = [
        f"({literal(table)}, {_names(own for _, own in lookup.pairs)}, {_names(theirs for theirs, _ in lookup.pairs)})"
        for table, lookup in referring
    ]
    places = {
        "entity": entity, "table": literal(shape.base.name), "deleted": literal(unquoted(shape.deleted or "")),
        "deletes": _boolean(removes and not shape.deleted), "marks": _boolean(removes and bool(shape.deleted)),
        "known": ", ".join(known) or "(NULL::text, NULL::text[], NULL::text[])", "updated": _names(updated),
        "written": _names(written),
    }
    # A tag that no name in the block can hold, by being made from them.
    return template("guard.sql").format(tag=f"orgrecon_{sha256_of(places)[:12]}", **places)


def guard_texts(entity: str, views: Iterable[str], columns: Iterable[str]) -> str:
    """A block that ends the batch where these columns of the views hold texts that are equal without being the same."""
    places = {"entity": entity, "views": ", ".join(f"{literal(view)}::regclass" for view in views),
              "columns": _names(columns)}
    return template("guard_texts.sql").format(tag=f"orgrecon_{sha256_of(places)[:12]}", **places)


def _names(columns: Iterable[str]) -> str:
    return f"{array_literal(map(unquoted, columns))}::text[]"


def _boolean(value: bool) -> str:
    return "true" if value else "false"
