"""Tables that are taken for copies, by their names and by what they lack."""

from __future__ import annotations

import pytest

from orgrecon_pipeline.compare.queries.column_type import ColumnType
from orgrecon_pipeline.proposal.catalog.copies import find_copies
from orgrecon_pipeline.proposal.catalog.tables import Column, Table

_KEY = (("id",),)


def table(number: int, name: str, columns: str, keys: tuple[tuple[str, ...], ...]) -> Table:
    return Table(number, "public", name, name, "r", 1, 100, True, keys=keys, columns=tuple(
        Column(column, column, ColumnType("integer", False, True), nullable=False) for column in columns.split()))


@pytest.mark.parametrize(("name", "columns", "keys", "other", "is_copy"), [
    ("teams_old", "id name", (), "teams", True),
    ("teams_old", "id name", _KEY, "teams", False),
    ("teams_old", "id label", (), "teams", False),
    ("teams_2023", "id name", _KEY, "teams", True),
    ("teams_backup", "id label", _KEY, "users", True),
    ("teams", "id name", (), "§", False),
    ("old", "id name", (), "§", False),
])
def test_table_is_a_copy_of_the_one_whose_name_and_columns_it_has(
    name: str, columns: str, keys: tuple[tuple[str, ...], ...], other: str, is_copy: bool
) -> None:
    tables = [table(1, name, columns, keys), table(2, other, "id name", _KEY)]
    assert (1 in find_copies(tables)) is is_copy
