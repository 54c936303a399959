"""Blocks of SQL that abort a batch before it writes, if it could change more than the repair intends."""

from __future__ import annotations

from collections.abc import Iterable

from orgrecon_pipeline.repair.sql_fragments import array_literal, dollar_tag, literal, template
from orgrecon_pipeline.repair.target_shape import Lookup, TargetShape, catalog_name


def target_check(
    entity: str, shape: TargetShape, references: Iterable[tuple[str, Lookup]], *, removes: bool,
    adds: bool, updated: Iterable[str], written: Iterable[str],
) -> str:
    """Return a block that aborts the batch if the target's table cannot be written, or a write has side effects.

    Args:
        references: tables whose rows look up values in the target's table, with the lookup.
        removes: whether rows may be removed.
        adds: whether rows may be added.
        updated: columns that may be written in existing rows.
        written: columns that may be written in any row.
    """
    known = [
        f"({literal(table)}, {_names(base for _, base in lookup.join_columns)}, "
        f"{_names(column for column, _ in lookup.join_columns)})"
        for table, lookup in references]
    fields = {
        "entity": entity, "table": literal(shape.base.name),
        "deleted": literal(catalog_name(shape.deletion_column or "")),
        "deletes": str(removes and not shape.deletion_column).lower(),
        "marks": str(removes and bool(shape.deletion_column)).lower(),
        "known": ", ".join(known) or "(NULL::text, NULL::text[], NULL::text[])",
        "adds": str(adds).lower(), "updated": _names(updated), "written": _names(written),
    }
    return template("check_target.sql").format(tag=dollar_tag(fields), **fields)


def collation_check(entity: str, views: Iterable[str], columns: Iterable[str]) -> str:
    """Return a block that aborts the batch if a column of the views compares different texts as equal."""
    fields = {"entity": entity, "views": ", ".join(f"{literal(view)}::regclass" for view in views),
              "columns": _names(columns)}
    return template("check_collations.sql").format(tag=dollar_tag(fields), **fields)


def database_check(database: str, system_identifier: str) -> str:
    """Return a block that aborts the batch in any other database than this one."""
    name = f"{database} on server {system_identifier}"
    return template("check_database.sql").format(
        tag=dollar_tag(name), database=literal(database), system_identifier=literal(system_identifier),
        name=literal(name))


def _names(columns: Iterable[str]) -> str:
    return f"{array_literal(map(catalog_name, columns))}::text[]"
