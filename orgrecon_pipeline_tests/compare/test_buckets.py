"""Between two databases with many rows and few drifting keys, only buckets of keys that differ are read by key."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql

from orgrecon_pipeline.compare import two_databases
from orgrecon_pipeline.compare.engine import compare, open_reader
from orgrecon_pipeline.compare.keys import portions
from orgrecon_pipeline.compare.keys.buckets import Buckets, choose_bucket_count, explains_fingerprints
from orgrecon_pipeline.compare.keys.tracked_keys import STATE_MODULUS, TrackedKeys
from orgrecon_pipeline.compare.result import Comparison
from orgrecon_pipeline.compare.scan.fingerprints import Fingerprints, SideRows
from orgrecon_pipeline.compare.scan.side_scan import SCAN_SETTINGS
from orgrecon_pipeline.compare.two_databases import TwoDatabases
from orgrecon_pipeline.domain.errors import CannotDecide
from orgrecon_pipeline.domain.mapping.model import MappingConfig
from orgrecon_pipeline.domain.tenant_names import TenantNames
from orgrecon_pipeline.postgres.deadline import Deadline
from orgrecon_pipeline.postgres.dsn import Endpoints
from orgrecon_pipeline.postgres.int8_arrays import int8_array
from orgrecon_pipeline.postgres.session import Session
from orgrecon_pipeline.postgres.settings import RAISED_WORK_MEM
from orgrecon_pipeline_tests.support.compare import endpoints

COLUMNS = {"tenant_id": "t", "k": "k", "v": "v"}
MAPPING = MappingConfig.model_validate({
    "version": 1, "scan": {"settle_seconds": 0, "rechecks": 1}, "report": {"sample_values": True},
    "entities": {"things": {"key": ["k"], "compare": ["v"], "source": {"from": "public.things", "columns": COLUMNS},
                            "target": {"from": "public.things", "columns": COLUMNS}}}})


def fingerprints(differing: dict[str, SideRows], balances: dict[str, int] | None = None) -> Fingerprints:
    """Return fingerprints of tenants that all differ."""
    none = SideRows(0, 0)
    return Fingerprints(none, none, TenantNames.of(differing), int8_array(()), int8_array(()), differing, {},
                        balances or {})


@pytest.mark.parametrize(("tenants", "rows", "expected"), [
    (0, 0, 0),
    (1, 99_999, 0),         # few rows: all keys are read
    (1, 100_000, 256),
    (1, 10_000_000, 2_048),
    (500, 2_000, 16_384),
    (5_000, 2_000, 131_072),
    (5_000, 2_000_000, 262_144),    # the maximum
    (70_000, 20_000, 0),    # the maximum, with a drifting key in most of them
    (10_000, 10, 0),        # a drifting key in nearly every bucket
])
def test_bucket_count_depends_on_rows_and_drifting_tenants(tenants: int, rows: int, expected: int) -> None:
    differing = {f"t{number}": SideRows(rows, rows - 1) for number in range(tenants)}
    assert choose_bucket_count(differing.values()) == expected


def test_bucket_count_does_not_depend_on_the_side_with_more_rows() -> None:
    many = [SideRows(5, 4)] * 20
    assert choose_bucket_count([*many, SideRows(99_999, 100_000)]) == choose_bucket_count(
        [*many, SideRows(100_000, 99_999)]) > 0


def test_bucket_count_is_zero_if_one_side_is_empty() -> None:
    assert choose_bucket_count([SideRows(1_000_000, 0)]) == 0
    assert choose_bucket_count([SideRows(0, 1_000_000)]) == 0


@pytest.mark.parametrize("count", [1, 4, 64])
def test_bucket_with_another_fingerprint_differs(count: int) -> None:
    source = [(bucket, 1, "7") for bucket in range(count)]
    target = [(bucket, 1, "8" if bucket == count - 1 else "7") for bucket in range(count)]
    chosen = Buckets.differing(count, iter(source), iter(target)).chosen
    bits = [chosen[bucket // 8] >> bucket % 8 & 1 for bucket in range(8 * len(chosen))]
    assert [bucket for bucket, bit in enumerate(bits) if bit] == [count - 1]


def test_bucket_without_rows_on_one_side_differs() -> None:
    differing = Buckets.differing(8, iter([(1, 1, "7"), (2, 1, "7")]), iter([(2, 1, "7"), (5, 2, "7")]))
    assert differing.chosen == bytes([1 << 1 | 1 << 5])


def one_key(source: int, target: int) -> TrackedKeys:
    states = int8_array([source]), int8_array([target])
    return TrackedKeys({}, int8_array([1]), *states, *states, int8_array([0]))


def test_drift_explains_fingerprints_if_its_states_add_up_to_the_balance() -> None:
    differing = {"t": SideRows(1, 1)}
    assert explains_fingerprints({"t": one_key(5, 3)}, fingerprints(differing, {"t": 2}))
    assert explains_fingerprints({"t": one_key(5, 3)}, fingerprints(differing, {"t": 2 - 3 * STATE_MODULUS}))
    assert not explains_fingerprints({"t": one_key(5, 3)}, fingerprints(differing, {"t": 1}))
    assert not explains_fingerprints({}, fingerprints(differing, {"t": 2}))
    assert not explains_fingerprints({}, fingerprints(differing, {"t": 0})), "a differing tenant must drift"


@pytest.fixture
def apart(new_database: Callable[..., str]) -> Iterator[Callable[..., Endpoints]]:
    """``apart(rows, tenants)`` creates the same rows in two databases; ``apart.run(side, statement)`` changes one."""
    dsns = [new_database(), new_database()]
    connections = [psycopg.connect(dsn, autocommit=True) for dsn in dsns]

    def build(rows: int, tenants: int) -> Endpoints:
        for admin in connections:
            admin.execute("CREATE TABLE public.things (t text, k bigint, v text)")
            admin.execute("INSERT INTO public.things SELECT 'tenant ' || i %% %s, i, 'x' FROM generate_series(1, %s) i",
                          (tenants, rows))
            admin.execute("ANALYZE public.things")
        return endpoints.two_databases(*dsns)

    build.run = lambda side, statement: connections[side].execute(statement)  # type: ignore[attr-defined]
    yield build
    for connection in connections:
        connection.close()


@pytest.fixture
def streamed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of bytes and rows of each stream."""
    counts: list[int] = []
    stream = Session.stream

    def counted(*given: Any, **named: Any) -> Iterator[Any]:
        counts.append(0)
        position = len(counts) - 1
        for row in stream(*given, **named):
            counts[position] += 1 + sum(len(value) for value in row if isinstance(value, bytes))
            yield row

    monkeypatch.setattr(Session, "stream", counted)
    return counts


def kinds(comparison: Comparison) -> dict[str, dict[str, int]]:
    """Return the number of keys of each kind, by tenant with drift."""
    return {row.tenant: {kind: number for kind in ("missing", "unexpected", "mismatched", "duplicate")
                         if (number := getattr(row, kind))}
            for row in comparison.tenant_rows if row.drift}


def test_few_drifting_keys_among_many_are_found_without_reading_most_rows(
    apart: Any, streamed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(two_databases, "_FEW_ROWS", 10_000)
    databases = apart(12_000, 3)
    apart.run(1, "DELETE FROM public.things WHERE k = 3")
    apart.run(0, "DELETE FROM public.things WHERE k = 4")
    apart.run(1, "UPDATE public.things SET v = NULL WHERE k = 8")
    apart.run(1, "INSERT INTO public.things SELECT * FROM public.things WHERE k = 11")
    comparison = compare(MAPPING, databases)
    assert kinds(comparison) == {"tenant 0": {"missing": 1}, "tenant 1": {"unexpected": 1},
                            "tenant 2": {"mismatched": 1, "duplicate": 1}}
    assert {(s.kind, *s.key.values()) for s in comparison.samples} == {
        ("missing", "3"), ("unexpected", "4"), ("mismatched", "8"), ("duplicate", "11")}
    assert max(streamed) < 12_000  # the hashes of all rows are sixteen times as many bytes


@pytest.mark.parametrize("side", [0, 1])
def test_row_with_another_tenant_on_one_side_is_found(
    apart: Any, monkeypatch: pytest.MonkeyPatch, side: int
) -> None:
    """The differences of the two tenants are in the same bucket, and must not cancel out."""
    databases = apart(30, 3)
    apart.run(side, "UPDATE public.things SET t = 'tenant 2' WHERE k = 3")
    monkeypatch.setattr(two_databases, "choose_bucket_count", lambda *given: 1)
    monkeypatch.setattr(two_databases, "explains_fingerprints", lambda drift, fingerprints: True)
    first, second = ("missing", "unexpected")[:: 1 if side else -1]
    assert kinds(compare(MAPPING, databases)) == {"tenant 0": {first: 1}, "tenant 2": {second: 1}}


def test_buckets_that_hide_drift_are_read_again_without_buckets(apart: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    databases = apart(30, 3)
    apart.run(1, "DELETE FROM public.things WHERE k IN (3, 6)")
    calls: list[Buckets] = []

    def no_buckets(_: Buckets, *streams: Iterator[Any]) -> Buckets:
        assert all(list(stream) for stream in streams)
        calls.append(Buckets(4, bytes(1)))
        return calls[-1]

    monkeypatch.setattr(two_databases, "run_self_test_across", lambda *given: None)
    monkeypatch.setattr(two_databases, "choose_bucket_count", lambda *given: 4)
    monkeypatch.setattr(Buckets, "differing", no_buckets)
    assert kinds(compare(MAPPING, databases)) == {"tenant 0": {"missing": 2}}
    assert calls


def test_self_test_covers_buckets(apart: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    databases = apart(30, 3)
    original = Buckets.differing
    monkeypatch.setattr(Buckets, "differing", lambda *given: Buckets(original(*given).count, bytes(8)))
    with pytest.raises(CannotDecide, match="self-test"):
        compare(MAPPING, databases)


@pytest.mark.parametrize("statement", ["side_buckets", "side_keys"])
def test_planner_scans_in_parallel_without_sorting_all_rows(apart: Any, statement: str) -> None:
    """Without statistics of the hash expressions, it would expect one group per row, and sort in one process."""
    databases = apart(100_000, 100)
    for setting in ("parallel_setup_cost", "min_parallel_table_scan_size"):
        apart.run(0, f"ALTER DATABASE {databases.source.dsn.parameters['dbname']} SET {setting} = 0")
    reader = open_reader(MAPPING, databases, Deadline(60))
    try:
        assert isinstance(reader, TwoDatabases)
        reader.run_preflight()
        with reader.snapshot():
            session, [statements] = reader.sessions["source"], reader.statements.values()
            find = getattr(statements, statement)
            composed = find("source", reader._preflights["source"].largest_table)
            settings = SCAN_SETTINGS if statement == "side_buckets" else portions.BY_HASH | SCAN_SETTINGS
            with session.planner_settings(settings, RAISED_WORK_MEM):
                plan = "\n".join(row["QUERY PLAN"] for row in session.query(
                    sql.SQL("EXPLAIN (COSTS OFF) {}").format(composed), "explaining",
                    {"mask": 1023, "tenants": [f"tenant {number}" for number in range(100)]}))
            version = session.server_version
    finally:
        reader.close()
    # Before PostgreSQL 16, an aggregate of strings is not computed in parallel.
    in_parallel = statement == "side_buckets" or version >= 160_000
    assert ("Partial HashAggregate" if in_parallel else "HashAggregate") in plan, plan


@pytest.mark.parametrize(("chunk_rows", "slice_rows"), [(2**14, 10_000_000), (1, 10_000_000), (1, 8), (2**14, 8)])
def test_rows_are_divided_into_chunks_and_slices_without_losing_a_key(
    apart: Any, monkeypatch: pytest.MonkeyPatch, chunk_rows: int, slice_rows: int
) -> None:
    monkeypatch.setattr(portions, "CHUNK_ROWS", chunk_rows)
    monkeypatch.setattr(portions, "SLICE_ROWS", slice_rows)
    databases = apart(60, 3)
    apart.run(1, "DELETE FROM public.things WHERE k > 30")
    apart.run(1, "UPDATE public.things SET v = NULL WHERE k < 7")
    apart.run(0, "INSERT INTO public.things SELECT * FROM public.things WHERE k BETWEEN 7 AND 9")
    apart.run(0, "INSERT INTO public.things SELECT t, k, 'y' FROM public.things WHERE k = 10")
    # The row without a key would end the next comparison, but not this one.
    written = iter([(0, "UPDATE public.things SET v = 'z' WHERE k IN (31, 32, 33); INSERT INTO public.things "
                        "SELECT DISTINCT t, NULL::bigint, 'x' FROM public.things")])
    comparison = compare(MAPPING, databases, wait=lambda seconds: apart.run(*next(written)))
    assert kinds(comparison) == {
        f"tenant {tenant}": {"missing": 10, "mismatched": 2 + (tenant == 1), "duplicate": 1 + (tenant == 1)}
        for tenant in range(3)}
    assert sum(1 for _ in comparison.keys) == 30 + 6 + 3 + 1
