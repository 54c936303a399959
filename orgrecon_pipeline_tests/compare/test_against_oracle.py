"""The engine agrees with an independent oracle on random companies with many column types."""

from __future__ import annotations

import uuid
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql
from psycopg.types.json import Jsonb

from orgrecon_pipeline.compare import engine, one_database, two_databases
from orgrecon_pipeline.compare.engine import compare
from orgrecon_pipeline.compare.keys import portions, recheck
from orgrecon_pipeline.compare.queries.hash_sum import BIGINT_SUMS, NUMERIC_SUM
from orgrecon_pipeline.compare.queries.row_hash import RowHash
from orgrecon_pipeline.compare.reader import Reader
from orgrecon_pipeline.compare.result import Comparison
from orgrecon_pipeline.domain.mapping.model import SIDES, MappingConfig
from orgrecon_pipeline.postgres.dsn import Endpoints
from orgrecon_pipeline_tests.support.citus import CITUS_DSN, needs_citus
from orgrecon_pipeline_tests.support.compare import endpoints
from orgrecon_pipeline_tests.support.compare.oracle import KINDS, drift, drifting_keys

# Few values, so that keys match. Some are equal but have different texts; others look alike but differ.
_TEXTS = ["a", "A", "é", "e\u0301", "", " ", "NULL", "a,b", '("x")', "o'x\\n", "%s {} ;--", "ß"]
_VALUES: dict[str, list[Any]] = {
    "text": _TEXTS,
    "character varying(40)": _TEXTS,
    "bigint": [0, 1, -1, 2**62],
    "integer": [0, 7, -7],
    "uuid": [uuid.UUID(int=n) for n in (0, 1, 2**127)],
    "numeric": [Decimal("1"), Decimal("1.00"), Decimal("-0.1"), Decimal("1e30")],
    "timestamptz": [datetime(2026, 1, 1, hour, tzinfo=timezone.utc) for hour in (0, 1)],
    "jsonb": [Jsonb({"a": 1, "b": [None]}), Jsonb([]), Jsonb(None)],
    "boolean": [True, False],
    "double precision": [0.0, -0.0, 0.1, float("inf")],
    "date": [datetime(2024, 2, 29, tzinfo=timezone.utc).date()],
    "text[]": [["a", None], [], ["A"]],
}


@st.composite
def companies(draw: st.DrawFn) -> dict[str, Any]:
    """Draw the types of two key columns and two compared columns, and the rows of both sides."""
    types = draw(st.lists(st.sampled_from(sorted(_VALUES)), min_size=4, max_size=4))
    tenant_type = draw(st.sampled_from(["text", "uuid", "bigint", "numeric"]))

    def row() -> st.SearchStrategy[tuple[Any, ...]]:
        keys = [st.sampled_from(_VALUES[kind]) for kind in types[:2]]
        values = [st.one_of(st.none(), st.sampled_from(_VALUES[kind])) for kind in types[2:]]
        return st.tuples(st.sampled_from(_VALUES[tenant_type]), *keys, *values)

    shared = draw(st.lists(row(), max_size=12))
    return {
        "tenant": tenant_type,
        "types": types,
        "source": shared + draw(st.lists(row(), max_size=4)),
        "target": draw(st.permutations(shared)) + draw(st.lists(row(), max_size=4)),
        "compare": draw(st.integers(0, 2)),
        "many_tenants": draw(st.booleans()),
        "batch": draw(st.sampled_from([1, 10])),
        "buckets": draw(st.sampled_from([0, 1, 4])),
        # The statements for Citus must mean the same on any server.
        "distributed": draw(st.sampled_from([(), ("target",), SIDES])),
    }


@dataclass(frozen=True)
class Scratch:
    """Databases in which a test creates the sides."""

    source: psycopg.Connection[Any]
    target: psycopg.Connection[Any]
    endpoints: Endpoints


@pytest.fixture(scope="module")
def scratches(server: Any) -> Any:
    dsns = [server.create_database(name) for name in ("oracle", "oracle_too")]
    with ExitStack() as stack:
        first, second, citus = (
            stack.enter_context(psycopg.connect(dsn, autocommit=True, prepare_threshold=None))
            for dsn in (*dsns, CITUS_DSN or dsns[0]))
        yield {"one": Scratch(first, first, endpoints.one_database(dsns[0])),
               "two": Scratch(first, second, endpoints.two_databases(*dsns)),
               "citus": Scratch(citus, citus, endpoints.one_database(CITUS_DSN or dsns[0]))}


@pytest.mark.parametrize("databases", ["one", "two", pytest.param("citus", marks=needs_citus)])
@pytest.mark.parametrize("exact", [False, True], ids=["fingerprints", "exact"])
@pytest.mark.parametrize("portable", [False, True], ids=["native", "portable"])
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(company=companies())
def test_engine_agrees_with_the_oracle(
    scratches: dict[str, Scratch], company: dict[str, Any], databases: str, exact: bool, portable: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scratch = scratches[databases]
    if portable:
        monkeypatch.setattr(engine, "new_row_hash", lambda: RowHash(native=False, seed=7))
    else:
        monkeypatch.undo()
    hash_sum = BIGINT_SUMS if company["many_tenants"] else NUMERIC_SUM
    for reader in (one_database, two_databases):
        monkeypatch.setattr(reader, "choose_hash_sum", lambda tenants: hash_sum)
    monkeypatch.setattr(one_database, "BATCH_ROWS", company["batch"])
    monkeypatch.setattr(portions, "SLICE_ROWS", company["batch"])
    monkeypatch.setattr(portions, "CHUNK_ROWS", company["batch"])
    monkeypatch.setattr(recheck, "BATCH_KEYS", company["batch"])
    monkeypatch.setattr(two_databases, "choose_bucket_count", lambda *given: company["buckets"])
    if databases != "citus":
        monkeypatch.setattr(Reader, "distributed", frozenset(company["distributed"]))
    types = [company["tenant"], *company["types"]]
    columns = [f"c{position}" for position in range(5)]
    for table, connection in (("old rows", scratch.source), ("new", scratch.target)):
        name = sql.Identifier(table)
        spec = sql.SQL(", ").join(
            sql.SQL("{} {}").format(sql.Identifier(c), sql.SQL(kind)) for c, kind in zip(columns, types, strict=True)
        )
        connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(name))
        connection.execute(sql.SQL("CREATE TABLE {} ({})").format(name, spec))
        if databases == "citus":
            connection.execute("SELECT create_distributed_table(%s, 'c0', shard_count => 3)", (name.as_string(),))
        rows = company["source" if table == "old rows" else "target"]
        if rows:
            row = sql.SQL("({})").format(sql.SQL(", ").join(sql.SQL("%s::{}").format(sql.SQL(kind)) for kind in types))
            connection.execute(sql.SQL("INSERT INTO {} VALUES {}").format(name, sql.SQL(", ").join([row] * len(rows))),
                               [value for values in rows for value in values])
    comparison = compare(_mapping(company), scratch.endpoints, exact=exact)

    source, target = _rows(scratch.source, "old rows", company), _rows(scratch.target, "new", company)
    expected = drift(source, target)
    assert _drift(comparison) == expected
    # Keys have other texts than in Python, so only their tenants, kinds and columns are compared.
    keys = drifting_keys(source, target, ["v1", "v2"][: company["compare"]])
    assert Counter((key.tenant, frozenset(key.kinds), frozenset(key.columns)) for key in comparison.keys) == Counter(
        (tenant, frozenset(kinds), frozenset(columns)) for (tenant, _), (kinds, columns) in keys.items())
    assert len({(key.tenant, key.key) for key in comparison.keys}) == len(keys)
    totals = comparison.totals["thing"]
    assert (totals.source_rows, totals.target_rows) == (len(company["source"]), len(company["target"]))
    assert {k: getattr(totals, k) for k in KINDS} == {k: sum(c[k] for c in expected.values()) for k in KINDS}
    assert comparison.tenants_with_drift == len(expected)
    assert comparison.tenants_scanned == len({row.tenant for row in comparison.tenant_rows})
    assert {(s.tenant, s.kind) for s in comparison.samples} == {
        (tenant, kind) for tenant, counts in expected.items() for kind in KINDS if counts[kind]
    }


def _rows(connection: psycopg.Connection[Any], table: str, company: dict[str, Any]) -> list[Any]:
    """Return the rows as Postgres stores them. Values are equal in Python if they are equal in Postgres."""
    kinds = [company["tenant"], *company["types"]]
    used = 3 + company["compare"]
    # As text, because Python would read JSON's null and SQL's NULL as the same value.
    columns = sql.SQL(", ").join(
        sql.SQL("{}::text" if kind == "jsonb" else "{}").format(sql.Identifier(f"c{position}"))
        for position, kind in enumerate(kinds)
    )
    stored = connection.execute(sql.SQL("SELECT {} FROM {}").format(columns, sql.Identifier(table))).fetchall()
    rows = [tuple(tuple(value) if isinstance(value, list) else value for value in row) for row in stored]
    return [(_tenant(row[0]), row[1:3], row[3:used]) for row in rows]


def _tenant(value: Any) -> str:
    return format(value.normalize(), "f") if isinstance(value, Decimal) else str(value)


def _drift(comparison: Comparison) -> dict[str, dict[str, int]]:
    by_tenant = {row.tenant: {kind: getattr(row, kind) for kind in KINDS} for row in comparison.tenant_rows}
    return {tenant: counts for tenant, counts in by_tenant.items() if any(counts.values())}


def _mapping(company: dict[str, Any]) -> MappingConfig:
    columns = {"tenant_id": "c0", "k1": "c1", "k2": "c2", "v1": "c3", "v2": "c4"}
    return MappingConfig.model_validate({
        "version": 1,
        "entities": {"thing": {
            "key": ["k1", "k2"],
            "compare": ["v1", "v2"][: company["compare"]],
            "source": {"from": 'public."old rows"', "columns": columns},
            "target": {"from": "public.new", "columns": columns},
        }},
        "scan": {"settle_seconds": 0, "rechecks": 1},
    })
