"""The fast JSON of tenant rows is the canonical JSON of the same rows, and is read back to them."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orgrecon_pipeline.domain.canonical import canonical_json
from orgrecon_pipeline.domain.evidence import TenantRow
from orgrecon_pipeline.domain.tenant_row_json import canonical_rows, rows_of, split_rows

_VALUES = {"tenant": st.text(), "entity": st.text(), "first_seen": st.none() | st.dates()}
_NUMBERS = st.integers(0, 10**25)
_ROWS = st.lists(st.builds(TenantRow, **{name: _VALUES.get(name, _NUMBERS) for name in TenantRow.model_fields}))
_ROW = TenantRow(tenant="acme", entity="org_units", source_rows=2, target_rows=1, missing=1, unexpected=0,
                 mismatched=0, duplicate=0, transient=0)
_TEXT = canonical_rows([_ROW])[1:-1]


@given(_ROWS)
def test_json_of_any_rows_is_canonical(rows: list[TenantRow]) -> None:
    assert canonical_rows(rows) == canonical_json([row.model_dump(mode="json") for row in rows])


@given(_ROWS)
@example([_ROW, _ROW])
@example([_ROW, _ROW.model_copy(update={"tenant": '},{"duplicate":0'}), _ROW])
@example([_ROW.model_copy(update={"tenant": '],"tenants_scanned":1'}), _ROW])
def test_line_is_split_into_the_texts_of_its_rows(rows: list[TenantRow]) -> None:
    line = f'{{"streak_days":0,"tenants":{canonical_rows(rows)},"tenants_scanned":3}}'
    without_rows, texts = split_rows(line)
    assert without_rows == '{"streak_days":0,"tenants":[],"tenants_scanned":3}'
    assert list(rows_of(texts)) == rows


@pytest.mark.parametrize("text", [
    _TEXT.replace('"missing":1', '"missing": 1'),
    _TEXT.replace('"missing":1', '"missing":true'),
    _TEXT.replace('"missing":1', '"missing":1.0'),
    _TEXT.replace('"missing":1', '"missing":-1'),
    _TEXT.replace('"missing":1', '"missing":"1"'),
    _TEXT.replace('"missing":1', '"missing":1,"missing":1'),
    _TEXT.replace('"missing":1,', ""),
    _TEXT.replace("acme", "\\u0061cme"),
    _TEXT.replace("acme", "a<b"),
    _TEXT.replace("acme", "\\ud800"),
    _TEXT.replace('"first_seen":null', '"first_seen":"2026-01-31T00:00:00"'),
    json.dumps(json.loads(_TEXT)),
    f"{_TEXT},{_TEXT}", _TEXT[1:-1], f"{_TEXT} ", f"{_TEXT}\n", "", "null", "[]",
])
def test_text_that_is_not_the_canonical_json_of_a_row_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"canonical|validation"):
        rows_of([text])


@given(st.data())
def test_rows_that_are_cut_at_another_position_are_refused(data: st.DataObject) -> None:
    rows = [_ROW.model_copy(update={"missing": number}) for number in range(3)]
    cells = canonical_rows(rows)[1:-1].split(",")
    first, second = sorted(data.draw(st.lists(st.integers(1, len(cells) - 1), min_size=2, max_size=2, unique=True)))
    texts = [",".join(part) for part in (cells[:first], cells[first:second], cells[second:])]
    if texts == [canonical_rows([row])[1:-1] for row in rows]:
        assert list(rows_of(texts)) == rows
    else:
        with pytest.raises(ValueError, match="canonical"):
            rows_of(texts)
