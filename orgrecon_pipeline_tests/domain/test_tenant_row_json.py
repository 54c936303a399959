"""The fast JSON of tenant rows is the canonical JSON of the same rows."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from orgrecon_pipeline.domain.canonical import canonical_json
from orgrecon_pipeline.domain.evidence import TenantRow
from orgrecon_pipeline.domain.tenant_row_json import canonical_rows

_VALUES = {"tenant": st.text(), "entity": st.text(), "first_seen": st.none() | st.dates()}
_NUMBERS = st.integers(0, 10**25)


@given(st.lists(st.builds(TenantRow, **{name: _VALUES.get(name, _NUMBERS) for name in TenantRow.model_fields})))
def test_json_of_any_rows_is_canonical(rows: list[TenantRow]) -> None:
    assert canonical_rows(rows) == canonical_json([row.model_dump(mode="json") for row in rows])
