"""The owner of rows: a column in most tables that refers to one table, as ``carrier_code`` does, and names tenants."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from orgrecon_pipeline.proposal.catalog.tables import Table

_MIN_TABLES = 3
_MIN_SHARE = 0.6


@dataclass(frozen=True)
class Owner:
    """The name of a column, and the number of the table to whose key it refers."""

    column: str
    table: int


def find_owner(tables: Sequence[Table]) -> Owner | None:
    """Return the owner of the rows of a model, judged by keys and references alone; None if there is none.

    Most tables have its column, it leads a key of several columns and never stands later in one, and it refers to a
    table that refers to no other.
    """
    originals = {table.id: table for table in tables if table.kind != "v" and table.keys}
    references = Counter(
        (key.columns[0], key.table) for table in originals.values() for key in table.foreign_keys
        if len(key.columns) == 1 and key.table in originals and not originals[key.table].foreign_keys)
    for (column, number), _ in references.most_common(3):
        others = [table for table in originals.values() if table.id != number]
        holders = [table for table in others if column in table.by_name]
        keys = [key for table in holders for key in table.keys if column in key and len(key) > 1]
        common = len(holders) >= _MIN_TABLES and len(holders) >= _MIN_SHARE * len(others)
        if common and keys and all(key[0] == column for key in keys):
            return Owner(column, number)
    return None
