"""The join by key finds what grouping every row finds, with buckets and without."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orgrecon_pipeline.compare.engine import compare, open_reader
from orgrecon_pipeline.compare.keys import key_join
from orgrecon_pipeline.compare.keys.drilldown import drill_down
from orgrecon_pipeline.compare.keys.key_join import join_by_key
from orgrecon_pipeline.compare.queries.statements import EntityStatements
from orgrecon_pipeline.domain.mapping.model import MappingConfig
from orgrecon_pipeline.postgres.deadline import Deadline
from orgrecon_pipeline.postgres.session import Session
from orgrecon_pipeline_tests.support.compare import endpoints

COLUMNS = {"tenant_id": "t", "k": "k", "v": "v"}
MAPPING = MappingConfig.model_validate({
    "version": 1, "scan": {"settle_seconds": 0, "rechecks": 0},
    "entities": {"things": {"key": ["k"], "compare": ["v"], "source": {"from": "public.old", "columns": COLUMNS},
                            "target": {"from": "public.new", "columns": COLUMNS}}}})

_rows = st.lists(st.tuples(
    st.sampled_from("ab"), st.integers(1, 12), st.sampled_from(["1.0", "1.00", "2", None])), max_size=24)


@pytest.fixture(scope="module")
def scratch(server: Any) -> Iterator[tuple[psycopg.Connection[Any], str]]:
    dsn = server.create_database("key_join")
    with psycopg.connect(dsn, autocommit=True, prepare_threshold=None) as admin:
        yield admin, dsn


@pytest.mark.slow
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=st.sampled_from(["text", "jsonb"]), source=_rows, target=_rows, both=_rows)
def test_join_finds_what_grouping_every_row_finds(
    scratch: tuple[psycopg.Connection[Any], str], kind: str, source: list[Any], target: list[Any], both: list[Any]
) -> None:
    admin, dsn = scratch
    for table, rows in (("public.old", source), ("public.new", target)):
        admin.execute(f"DROP TABLE IF EXISTS {table}; CREATE TABLE {table} (t text, k int, v {kind})")
        with admin.cursor() as cursor:
            cursor.executemany(f"INSERT INTO {table} VALUES (%s, %s, %s)", [*rows, *both])
    reader = open_reader(MAPPING, endpoints.one_database(dsn), Deadline(60.0))
    try:
        reader.run_preflight()
        session, statements = reader.sessions["source"], reader.statements["things"]
        with reader.snapshot():
            fingerprints = reader.read_fingerprints(0)["things"]
            tenants = list(fingerprints.differing)
            grouped = drill_down(session, statements, tenants)
            joined = [join_by_key(session, statements, tenants, fingerprints, fingerprints.extent, bucket_count=count)
                      for count in (0, 4, 4096)]
    finally:
        reader.close()
    for drift, undecided in joined:
        assert drift == {tenant: keys for tenant, keys in grouped.items() if tenant not in undecided}
        # A bucket without drift is not joined, so a key with several copies in it leaves nothing undecided.
        assert set(undecided) <= set(joined[0][1])


@pytest.fixture
def bucketed(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each statement that joins by key is restricted to buckets, without the statements of the self-test."""
    calls: list[bool] = []
    key_join_of = EntityStatements.key_join

    def recorded(self: EntityStatements, *given: Any, in_buckets: bool, **named: Any) -> Any:
        if self.name == "things":
            calls.append(in_buckets)
        return key_join_of(self, *given, in_buckets=in_buckets, **named)

    monkeypatch.setattr(EntityStatements, "key_join", recorded)
    return calls


@pytest.mark.parametrize(("version", "drifting", "expected"), [
    (150_000, "k = 7", True),
    (150_000, "true", False),  # nearly all buckets differ
    (160_000, "k = 7", False),
])
def test_giant_tenant_is_joined_in_buckets_only_where_one_process_would_join_it(
    empty_database: str, connect: Any, monkeypatch: pytest.MonkeyPatch, bucketed: list[bool], version: int,
    drifting: str, expected: bool,
) -> None:
    admin = connect(empty_database)
    for table in ("public.old", "public.new"):
        admin.execute(f"CREATE TABLE {table} (t text, k int, v text); INSERT INTO {table} "
                      "SELECT 'giant', k, 'x' FROM generate_series(1, 2000) AS k; ANALYZE")
    admin.execute(f"UPDATE public.new SET v = 'y' WHERE {drifting}")
    monkeypatch.setattr(Session, "server_version", version)
    monkeypatch.setattr(key_join, "choose_bucket_count", lambda rows: 64)
    comparison = compare(MAPPING, endpoints.one_database(empty_database))
    [(number,)] = admin.execute("SELECT count(*) FROM public.new WHERE v = 'y'").fetchall()
    assert comparison.totals["things"].mismatched == number
    assert bucketed == [expected]
