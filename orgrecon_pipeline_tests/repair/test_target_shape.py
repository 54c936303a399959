"""Inversion of an entity's target."""

from __future__ import annotations

import pytest

from orgrecon_pipeline.domain.mapping.model import Entity
from orgrecon_pipeline.repair.target_shape import Lookup, Table, UnsupportedMapping, shape_of, tenant_columns


def entity(target: str, **columns: str) -> Entity:
    """Return an entity with the key ``k`` and the compared column ``v``."""
    side = {"from": target, "columns": {"tenant_id": "a.tenant", "k": "a.k", "v": "a.v", **columns}}
    return Entity.model_validate({"key": ["k"], "compare": ["v"], "source": side, "target": side})


JOINED = "s.a AS a LEFT OUTER JOIN s.b b ON b.id = a.b_id AND a.tenant = b.tenant"


def test_target_with_a_lookup_is_inverted() -> None:
    shape = shape_of(entity(JOINED, v='B."Label"'), {})
    assert (shape.base, shape.base_columns) == (Table("s.a", "a"), {"tenant_id": "tenant", "k": "k"})
    join_columns = (("id", "b_id"), ("tenant", "tenant"))
    assert shape.lookups == (Lookup(Table("s.b", "b"), True, join_columns, (("v", '"Label"'),)),)
    assert shape_of(entity('"S"."A" a'), {}).base == Table('"S"."A"', "a")


@pytest.mark.parametrize(("k", "on"), [
    ("a.k", "b.id = a.b_id AND b.tenant = a.tenant"),
    ('"a".K', '"b".id = a."b_id" AND b."tenant" = A.tenant'),
])
def test_columns_are_recognised_however_they_are_spelled(k: str, on: str) -> None:
    shape = shape_of(entity(f"s.a a JOIN s.b b ON {on}", tenant_id='a."tenant"', k=k, v="B.v"), {})
    assert len(shape.base_columns) == 2
    assert shape.lookups[0].values == (("v", "v"),)


@pytest.mark.parametrize(("target", "columns"), [
    ("(SELECT 1) a", {}), ("s.a a, s.b b", {}), ("s.a a CROSS JOIN s.b", {}),
    ("s.a a FULL JOIN s.b b ON b.id = a.b_id", {}),
    ("s.a a JOIN s.b b USING (id)", {}), ("s.a a JOIN s.b b ON b.id = a.b_id OR true", {}), ("s.a a -- comment", {}),
    ("s.a a JOIN s.b b ON b.id > a.b_id", {}), ("f(1) a", {}), ("s.a a JOIN s.b b ON b.id = a.b_id", {}),
    ("s.a a JOIN s.a a ON a.id = a.b_id", {}), (JOINED, {"v": "v"}), (JOINED, {"v": "c.v"}),
    (JOINED, {"v": "b.v::text"}),
    (JOINED, {"tenant_id": "b.tenant"}), ("s.a a", {"v": "'constant'"}), (JOINED.replace("b_id", "k"), {"v": "b.v"}),
    (f"{JOINED} JOIN s.c c ON c.id = b.c_id", {"v": "c.v"}),
    ("s.a a JOIN s.b b ON b.id = a.b_id", {"v": "b.v"}),
    (f"{JOINED} JOIN s.c c ON c.id = a.b_id", {"v": "b.v", "k": "c.k"}),
])
def test_target_that_cannot_be_inverted_is_unsupported(target: str, columns: dict[str, str]) -> None:
    with pytest.raises(UnsupportedMapping):
        shape_of(entity(target, **columns), {})


@pytest.mark.parametrize("tenant", ["a.tenant", "b.owner"])
def test_lookup_without_the_tenant_uses_the_tenant_of_the_joined_tables_own_entity(tenant: str) -> None:
    of_b = entity("s.b", tenant_id="b.owner", k="b.k", v="b.v")
    looks_up = entity("s.a a JOIN s.b b ON b.id = a.b_id", tenant_id=tenant, k="b.k")
    shape = shape_of(looks_up, tenant_columns([of_b, looks_up]))
    assert [lookup.tenant_column for lookup in shape.lookups] == ["owner" if tenant == "a.tenant" else None]
    assert ("tenant_id" in shape.base_columns) is (tenant == "a.tenant")
    with pytest.raises(UnsupportedMapping, match=r"looks up values in s\.c without the tenant"):
        shape_of(entity("s.a a JOIN s.c c ON c.id = a.c_id", k="c.k"), tenant_columns([of_b]))
