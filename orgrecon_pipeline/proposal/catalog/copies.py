"""Copies of tables that no application writes: backups, logs, and tables that someone kept before a change."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence

from orgrecon_pipeline.proposal.catalog.names import has_year, is_copy, kept_words, words
from orgrecon_pipeline.proposal.catalog.tables import Table

# Words of schemas of backups. Other words of copies, such as "audit", can name a schema of the application.
_SCHEMAS = {"backup", "bak", "bkp", "dump", "snapshot", "archive"}
# More schemas than that with the same tables are not generations of a model, but its copies for customers.
_MAX_GENERATIONS = 3


def find_copies(tables: Sequence[Table]) -> dict[int, str]:
    """Return the numbers of the tables that are taken for copies, each with the reason."""
    by_words = defaultdict(list)
    for table in tables:
        by_words[words(table.name)].append(table)
    referred = {key.table for table in tables for key in table.foreign_keys}
    reasons = {}
    for table in tables:
        if is_copy(table.name) or set(words(table.schema)) & _SCHEMAS:
            reasons[table.id] = "is named like a backup, a log or another copy"
            continue
        for other in by_words[kept_words(table.name)]:
            if may_be_copy(table, other) and (has_year(table.name) or _lacks(table, other, referred)):
                reasons[table.id] = f"seems to be a copy of {other.label}, whose columns it has"
    return reasons


def alike_schemas(tables: Sequence[Table]) -> list[str]:
    """Return the schemas that have the same tables with the same columns, as those of customers; empty if few do.

    Two can be two generations of a model.
    """
    by_schema = defaultdict(set)
    for table in tables:
        by_schema[table.schema].add((table.name, frozenset(table.by_name)))
    alike = defaultdict(list)
    for schema, of_schema in by_schema.items():
        if len(of_schema) > 1:
            alike[frozenset(of_schema)].append(schema)
    schemas = max(alike.values(), key=len, default=[])
    return sorted(schemas) if len(schemas) > _MAX_GENERATIONS else []


def may_be_copy(table: Table, other: Table) -> bool:
    """Return whether a table is named like a kept one, as ``teams_old`` is, and has only columns of the other.

    It can also be the source of a migration that gave its name to the target.
    """
    kept = kept_words(table.name)
    return (bool(kept) and kept == words(other.name) and table.schema == other.schema
            and table.by_name.keys() <= other.by_name.keys())


def _lacks(table: Table, other: Table, referred: Collection[int]) -> bool:
    """Return whether a table has no key, or no references, unlike the other."""
    alone, other_alone = (not one.foreign_keys and one.id not in referred for one in (table, other))
    return (not table.keys and bool(other.keys)) or (alone and not other_alone)
