"""docs/data-retention.md lists every column of the ledger that holds text, and which of them can be personal."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import sqlalchemy as sa

from orgrecon_pipeline.ledger import tables
from orgrecon_pipeline.ledger.tables import PERSONAL, metadata

PAGE = (Path(__file__).parents[2] / "docs/data-retention.md").read_text("utf-8")
ROWS = {name: (personal, other) for name, personal, other in re.findall(
    r"^\| `(orgrecon_\w+)` \| (.+?) \| (.+?) \|$", PAGE, re.MULTILINE)}


def columns(cell: str) -> set[str]:
    """Return the columns in a cell of the page, without the explanations in parentheses."""
    return set(re.findall(r"`(\w+)`", re.sub(r"\(.*?\)", "", cell)))


@pytest.mark.parametrize("table", metadata.sorted_tables, ids=lambda table: table.name)
def test_every_text_column_of_the_ledger_is_classified(table: sa.Table) -> None:
    personal, other = map(columns, ROWS[table.name])
    assert personal == {column.name for column in table.columns if column.info == PERSONAL}
    texts = {column.name for column in table.columns if isinstance(column.type, (sa.Text, tables.Bytes))}
    assert other == texts - personal, "a new column must be listed: as personal, or as another text"


def test_page_lists_no_other_tables() -> None:
    assert ROWS.keys() == metadata.tables.keys()
