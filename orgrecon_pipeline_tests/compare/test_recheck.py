"""A recheck reads only tenants with changed rows by key, and finds exactly what grouping every row finds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orgrecon_pipeline.compare import engine, one_database
from orgrecon_pipeline.compare.engine import compare
from orgrecon_pipeline.compare.keys import key_join, portions, recheck
from orgrecon_pipeline.compare.queries.row_hash import RowHash
from orgrecon_pipeline.compare.result import Comparison
from orgrecon_pipeline.domain.mapping.model import MappingConfig
from orgrecon_pipeline.postgres.dsn import Endpoints
from orgrecon_pipeline_tests.support.compare import endpoints

Statement = tuple[str, tuple[Any, ...]]
TABLES = ("public.old", "public.new")
_COLUMNS = {"tenant_id": "t", "k": "k", "b": "b", "v": "v"}
# Equal values of some types have different texts, and hash differently.
_KEYS = {"bigint": ["1", "2"], "text": ["a", "A"], "numeric": ["1.0", "1.00"], "jsonb": ["1.0", "1.00"],
         "public.letter": ["1", "x"]}
_VALUES = {"text": ["x", "y", None], "jsonb": ["1.0", "1.00", None], "double precision": ["0", "-0", None],
           "public.letter": ["x", "y", None]}


def mapping(rechecks: int = 2) -> MappingConfig:
    return MappingConfig.model_validate({
        "version": 1, "scan": {"settle_seconds": 0, "rechecks": rechecks},
        "entities": {"things": {"key": ["k", "b"], "compare": ["v"], "source": {"from": TABLES[0], "columns": _COLUMNS},
                                "target": {"from": TABLES[1], "columns": _COLUMNS}}}})


def endpoints_of(dsn: str, databases: int) -> Endpoints:
    """Return endpoints in one database. With two URLs of it, each side has a connection and a snapshot of its own."""
    return endpoints.two_databases(dsn, dsn if databases == 1 else f"{dsn}&connect_timeout=9")


@st.composite
def histories(draw: st.DrawFn) -> dict[str, Any]:
    """Draw the types of a key and of a value, and what is written before each of the five reads of two rounds."""
    key, value = draw(st.sampled_from(sorted(_KEYS))), draw(st.sampled_from(sorted(_VALUES)))
    # Each write replaces all copies of a key on one side.
    write = st.tuples(
        st.sampled_from(TABLES), st.sampled_from(["one", "two"]), st.sampled_from(_KEYS[key]), st.integers(1, 3),
        st.lists(st.sampled_from(_VALUES[value]), max_size=2))
    return {"types": (key, value), "first": draw(st.lists(write, min_size=1, max_size=12)),
            "later": draw(st.lists(st.lists(write, max_size=3), min_size=4, max_size=4))}


def run(admin: psycopg.Connection[Any], writes: list[tuple[Any, ...]]) -> None:
    for table, tenant, key, number, values in writes:
        admin.execute(f"DELETE FROM {table} WHERE t = %s AND k::text = %s AND b = %s", (tenant, key, number))
        for value in values:
            admin.execute(f"INSERT INTO {table} VALUES (%s, %s, %s, %s)", (tenant, key, number, value))


def findings(comparison: Comparison) -> dict[str, Any]:
    """Return all that a comparison says about drift."""
    return {
        "totals": comparison.totals, "in_flux": comparison.keys_in_flux,
        "tenants": [row for row in comparison.tenant_rows if row.drift or row.transient],
        "keys": sorted((key.tenant, key.kinds, key.columns) for key in comparison.keys),
        "samples": sorted((sample.tenant, sample.kind, sample.columns) for sample in comparison.samples),
    }


@pytest.fixture(scope="module")
def scratch(server: Any) -> Iterator[tuple[psycopg.Connection[Any], str]]:
    dsn = server.create_database("recheck")
    with psycopg.connect(dsn, autocommit=True, prepare_threshold=None) as admin:
        admin.execute("CREATE TYPE public.letter AS ENUM ('y', 'x', '1')")
        yield admin, dsn


@pytest.mark.slow
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=histories(), join_decides=st.booleans(), databases=st.sampled_from([1, 2]),
       chunk_rows=st.sampled_from([1, 100]), slice_rows=st.sampled_from([1, 100]),
       at_once=st.lists(st.booleans(), min_size=4, max_size=4))
def test_recheck_finds_what_reading_every_row_by_key_finds(
    scratch: tuple[psycopg.Connection[Any], str], monkeypatch: pytest.MonkeyPatch, history: dict[str, Any],
    join_decides: bool, databases: int, chunk_rows: int, slice_rows: int, at_once: list[bool],
) -> None:
    admin, dsn = scratch
    compared = endpoints_of(dsn, databases)
    # Without time for the join, the grouping decides.
    monkeypatch.setattr(recheck, "join_by_key", key_join.join_by_key if join_decides else (
        lambda session, statements, tenants, *others: ({}, tenants)))
    # As for tenants with very many rows.
    monkeypatch.setattr(portions, "CHUNK_ROWS", chunk_rows)
    monkeypatch.setattr(portions, "SLICE_ROWS", slice_rows)
    # Rechecks with and without a scan, whatever the counters of the server say.
    decisions = iter(at_once)
    monkeypatch.setattr(recheck.EarlierReads, "were_written", lambda *given: next(decisions))
    # With one seed, because the hash of a key with several spellings is the least one.
    monkeypatch.setattr(engine, "new_row_hash", lambda: RowHash(native=True, seed=7))
    results = []
    for exact in (False, True):  # --exact reads every row by key at every read
        for table in TABLES:
            admin.execute(f"DROP TABLE IF EXISTS {table}")
            admin.execute("CREATE TABLE {} (t text, k {}, b int, v {})".format(table, *history["types"]))
            admin.execute(f"INSERT INTO {table} VALUES ('clean', '1', 1, NULL)")  # so that no side gets empty
        run(admin, history["first"])
        later = iter(history["later"])

        def write(seconds: float, later: Iterator[Any] = later) -> None:
            run(admin, next(later))

        results.append(findings(compare(mapping(), compared, exact=exact, wait=write)))
    assert results[0] == results[1]


@pytest.fixture
def read_by_key(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The tenants whose tracked keys each recheck reads."""
    calls: list[list[str]] = []
    written_keys = recheck.EarlierReads.written_keys

    def recorded(self: Any, statements: Any, tracked: Any) -> Any:
        calls.append(sorted(tracked))
        return written_keys(self, statements, tracked)

    monkeypatch.setattr(recheck.EarlierReads, "written_keys", recorded)
    return calls


def write_and_report(dsn: str, statement: str) -> None:
    """Write, and let the server count the rows at once. A session reports its counts when it ends, if not before."""
    with psycopg.connect(dsn) as connection:
        connection.execute(statement)
        pid = connection.info.backend_pid
    with psycopg.connect(dsn, autocommit=True) as admin:
        while admin.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", (pid,)).fetchone():
            pass


# In either case, a row that the other side lacks heals, another one is written on both sides, and one is still missing.
@pytest.mark.parametrize("databases", [1, 2])
@pytest.mark.parametrize(("others", "read"), [
    ("", ["written"]),
    # At least as many written rows as tenants: the keys of all are read, without a scan.
    ("UPDATE public.old SET v = 'y' WHERE k = 1", ["healed", "still", "unwritten", "written"])])
def test_recheck_reads_by_key_all_tenants_only_if_most_were_written(
    empty_database: str, connect: Any, read_by_key: list[list[str]], databases: int, others: str, read: list[str],
) -> None:
    admin, dsn = connect(empty_database), empty_database
    for table in TABLES:
        admin.execute(f"CREATE TABLE {table} (t text, k bigint, b int, v text)")
        admin.execute(f"INSERT INTO {table} SELECT t, k, 1, 'x' FROM generate_series(1, 5) k, "
                      "unnest(ARRAY['healed', 'still', 'unwritten', 'written']) t")
    admin.execute("DELETE FROM public.new WHERE k = 5")
    write = f"""
        INSERT INTO public.new VALUES ('healed', 5, 1, 'x'), ('written', 6, 1, 'x');
        INSERT INTO public.old VALUES ('written', 6, 1, 'x');
        {others}"""
    comparison = compare(mapping(rechecks=1), endpoints_of(dsn, databases), wait=lambda seconds: write_and_report(
        dsn, write))
    assert read_by_key == [read]
    assert {row.tenant: (row.missing, row.transient) for row in comparison.tenant_rows} == {
        "healed": (0, 1), "still": (1, 0), "unwritten": (1, 0), "written": (1, 0)}


@pytest.mark.parametrize("databases", [1, 2])
@pytest.mark.parametrize(("value", "chunk_rows"), [("text", 1), ("text", portions.CHUNK_ROWS), ("jsonb", 1)])
def test_recheck_counts_keys_with_copies_beside_written_keys(
    empty_database: str, connect: Any, monkeypatch: pytest.MonkeyPatch, databases: int, value: str, chunk_rows: int
) -> None:
    admin = connect(empty_database)
    monkeypatch.setattr(portions, "CHUNK_ROWS", chunk_rows)
    for table, copies in zip(TABLES, (3, 1), strict=True):
        admin.execute(f"CREATE TABLE {table} (t text, k bigint, b int, v {value})")
        admin.execute(f"INSERT INTO {table} SELECT 'a', 1, 1, '1' FROM generate_series(1, {copies})")
    admin.execute("INSERT INTO public.old SELECT 'a', k, 1, '1' FROM generate_series(2, 6) k")
    write = """
        UPDATE public.old SET v = '2' WHERE k = 2; INSERT INTO public.new VALUES ('a', 3, 1, '1');
        INSERT INTO public.old VALUES ('a', 4, 1, '1');
        INSERT INTO public.new VALUES ('a', 5, 1, '1'), ('a', 5, 1, '2');
        DELETE FROM public.old WHERE k = 6; INSERT INTO public.new VALUES ('a', 6, 1, '1')"""
    comparison = compare(
        mapping(rechecks=1), endpoints_of(empty_database, databases), wait=lambda seconds: admin.execute(write))
    totals = comparison.totals["things"]
    # The first key has copies; the next three are missing, transient and missing; the fifth has copies on the target.
    # The sixth moved to the target: both sides changed, and it is unexpected in the second round.
    assert (totals.duplicate, totals.missing, totals.mismatched, totals.unexpected, totals.transient) == (3, 2, 1, 1, 1)


def test_recheck_compares_written_values_whose_equal_texts_differ(empty_database: str, connect: Any) -> None:
    admin = connect(empty_database)
    for table in TABLES:
        admin.execute(f"CREATE TABLE {table} (t text, k bigint, b int, v jsonb)")
    admin.execute("INSERT INTO public.old VALUES ('a', 1, 1, '1.0'), ('a', 2, 1, '1.0'), ('a', 3, 1, '1.0')")
    write = "INSERT INTO public.new VALUES ('a', 1, 1, '1.00'), ('a', 2, 1, '2.00')"
    comparison = compare(
        mapping(rechecks=1), endpoints.one_database(empty_database), wait=lambda seconds: admin.execute(write))
    totals = comparison.totals["things"]
    assert (totals.missing, totals.mismatched, totals.transient) == (1, 1, 1)


@pytest.mark.parametrize("databases", [1, 2])
def test_recheck_with_a_scan_after_one_without_it_notices_that_rows_are_again_as_at_first(
    empty_database: str, connect: Any, monkeypatch: pytest.MonkeyPatch, databases: int
) -> None:
    admin = connect(empty_database)
    for table in TABLES:
        admin.execute(f"CREATE TABLE {table} (t text, k bigint, b int, v text)")
        admin.execute(f"INSERT INTO {table} VALUES ('a', 2, 1, 'x')")
    admin.execute("INSERT INTO public.old VALUES ('a', 1, 1, 'x')")
    at_once = iter([True, False])
    monkeypatch.setattr(recheck.EarlierReads, "were_written", lambda *given: next(at_once))
    writes = iter(["INSERT INTO public.new VALUES ('a', 1, 1, 'y')", "DELETE FROM public.new WHERE k = 1"])
    comparison = compare(
        mapping(), endpoints_of(empty_database, databases), wait=lambda seconds: admin.execute(next(writes)))
    totals = comparison.totals["things"]
    assert (totals.missing, totals.mismatched, totals.transient) == (1, 0, 0)


@pytest.mark.parametrize(("condition", "expected"), [
    ("true", [False, False, True, True]),
    # The next two could change without a write.
    ("t < current_date::text", [True, True, True, True]),
    ("public.stable(k)", [True, True, True, True]),
    ("public.immutable(k)", [False, False, True, True]),
])
def test_recheck_reads_rows_only_if_a_transaction_has_committed_since_the_last_read(
    empty_database: str, connect: Any, monkeypatch: pytest.MonkeyPatch, condition: str, expected: list[bool]
) -> None:
    admin, other = connect(empty_database), connect(empty_database)
    for label in ("stable", "immutable"):
        admin.execute(f"CREATE FUNCTION public.{label}(bigint) RETURNS boolean LANGUAGE plpgsql {label} AS "
                      "'BEGIN RETURN true; END'")
    for table in TABLES:
        admin.execute(f"CREATE TABLE {table} (t text, k bigint, b int, v text)")
        admin.execute(f"INSERT INTO {table} VALUES ('1', 1, 1, 'x')")
    admin.execute("INSERT INTO public.old VALUES ('1', 2, 1, 'x'), ('1', 3, 1, 'x')")
    read: list[bool] = []
    recheck_of = one_database.OneDatabase.recheck

    def recorded(self: Any, *given: Any) -> Any:
        read[-1] = True
        return recheck_of(self, *given)

    monkeypatch.setattr(one_database.OneDatabase, "recheck", recorded)
    # A transaction that is in progress at the second recheck, and has committed at the third one.
    steps = iter(["SELECT 1", "BEGIN; INSERT INTO public.new VALUES ('1', 2, 1, 'x')", "COMMIT",
                  "CREATE TABLE other ()"])

    def wait(seconds: float) -> None:
        read.append(False)
        other.execute(next(steps))

    filtered = mapping(rechecks=4).model_dump(by_alias=True, mode="json", exclude_none=True)
    for side in ("source", "target"):
        for relation in filtered["entities"]["things"][side]:
            relation["where"] = condition
    comparison = compare(
        MappingConfig.model_validate(filtered), endpoints.one_database(empty_database), wait=wait)
    totals = comparison.totals["things"]
    assert (read, totals.missing, totals.transient) == (expected, 1, 1)


def test_key_in_flux_that_is_no_longer_written_is_counted(empty_database: str, connect: Any) -> None:
    """Tracking starts anew in the second round, in which no row changes."""
    admin = connect(empty_database)
    for table in TABLES:
        admin.execute(f"CREATE TABLE {table} (t text, k bigint, b int, v text)")
        admin.execute(f"INSERT INTO {table} VALUES ('a', 2, 1, 'x')")
    admin.execute("INSERT INTO public.old VALUES ('a', 1, 1, 'x')")
    write = """DELETE FROM public.old WHERE k = 1; DELETE FROM public.new WHERE k = 1;
               INSERT INTO public.new VALUES ('a', 1, 1, 'x')"""
    comparison = compare(
        mapping(rechecks=1), endpoints.one_database(empty_database), wait=lambda seconds: admin.execute(write))
    totals = comparison.totals["things"]
    assert (totals.missing, totals.unexpected, totals.transient, comparison.keys_in_flux) == (0, 1, 0, 0)


def test_key_that_begins_to_drift_after_the_first_read_does_not_count(empty_database: str, connect: Any) -> None:
    admin = connect(empty_database)
    for table in TABLES:
        admin.execute(f"CREATE TABLE {table} (t text, k bigint, b int, v text)")
    admin.execute("INSERT INTO public.old VALUES ('a', 1, 1, 'x'), ('a', 2, 1, 'x')")
    admin.execute("INSERT INTO public.new VALUES ('a', 2, 1, 'x')")
    comparison = compare(
        mapping(rechecks=1), endpoints.one_database(empty_database),
        wait=lambda seconds: admin.execute("DELETE FROM public.new"
                                           "; INSERT INTO public.new VALUES ('b', 1, 1, 'x')"))
    totals = comparison.totals["things"]
    assert (totals.missing, totals.unexpected, totals.transient) == (1, 0, 0)


@pytest.mark.parametrize("databases", [1, 2])
@pytest.mark.parametrize("interrupted", [
    "keys.key_spool.KeySpool.add", "keys.key_rows.bounded_name", "keys.written_keys._written"])
def test_comparison_that_is_interrupted_while_rows_are_read_ends(
    empty_database: str, connect: Any, monkeypatch: pytest.MonkeyPatch, databases: int, interrupted: str
) -> None:
    """A stream of rows that is not read to its end must not keep the connection from rolling back."""
    admin = connect(empty_database)
    for table, rows in zip(TABLES, (100, 1), strict=True):
        admin.execute(f"CREATE TABLE {table} AS SELECT 't' || i AS t, i AS k, 1 AS b, 'x'::text AS v "
                      f"FROM generate_series(1, {rows}) i")
    monkeypatch.setattr(engine, "CHUNK", 1)

    def interrupt(*arguments: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(f"orgrecon_pipeline.compare.{interrupted}", interrupt)
    written = "written" in interrupted
    with pytest.raises(KeyboardInterrupt):
        compare(mapping(rechecks=int(written)), endpoints_of(empty_database, databases), wait=lambda seconds: [
            admin.execute(f"UPDATE {table} SET v = 'y'") for table in TABLES])
