"""The search for two tables of tenants ends soon, however many such tables there are."""

from __future__ import annotations

from orgrecon_pipeline.compare.queries.column_type import ColumnType
from orgrecon_pipeline.proposal.catalog.references import Side
from orgrecon_pipeline.proposal.catalog.tables import Catalog, Column, Table
from orgrecon_pipeline.proposal.sample.draft import Draft, Measurement
from orgrecon_pipeline.proposal.tenant_tables import find_tenants

_COLUMNS = tuple(Column(name, name, ColumnType("text", True, True), nullable=False) for name in ("id", "code"))


class _Unlike:
    """Measures that find no common key in any two tables, and keep their pairs."""

    def __init__(self) -> None:
        self.pairs: list[tuple[int, int]] = []

    def measure(self, draft: Draft) -> Measurement:
        self.pairs.append((draft.source.id, draft.target.id))
        return Measurement(sampled=9, back_sampled=9)


def _side(schemas: int) -> Side:
    return Side(Catalog({number: Table(
        id=number, schema=f"s{number}", name="customers", quoted=f"s{number}.customers", kind="r", blocks=1, rows=9,
        readable=True, columns=_COLUMNS, keys=(("id",), ("code",))) for number in range(schemas)}))


def test_tables_of_tenants_in_hundreds_of_schemas_are_not_all_measured() -> None:
    side, measures = _side(300), _Unlike()
    assert find_tenants((side, side), measures) is None
    assert 0 < len(measures.pairs) <= 200


def test_tables_of_tenants_in_one_database_are_measured_in_one_direction() -> None:
    side, measures = _side(3), _Unlike()
    assert find_tenants((side, side), measures) is None
    assert set(measures.pairs) == {(0, 1), (0, 2), (1, 2)}


def test_tables_of_tenants_in_two_databases_are_all_measured() -> None:
    measures = _Unlike()
    assert find_tenants((_side(2), _side(2)), measures) is None
    assert {(0, 1), (1, 0)} <= set(measures.pairs)
