"""The scan of both sides of one database: put side by side, whatever tenants each has and however they are written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg import sql

from orgrecon_pipeline.compare import one_database as scan
from orgrecon_pipeline.compare.engine import compare, open_reader
from orgrecon_pipeline.compare.queries.statements import BIGINT_SUMS, NUMERIC_SUM, HashSum
from orgrecon_pipeline.compare.result import Comparison
from orgrecon_pipeline.compare.scan.side_scan import SCAN_SETTINGS
from orgrecon_pipeline.domain.mapping import MappingConfig
from orgrecon_pipeline.postgres.deadline import Deadline
from orgrecon_pipeline.postgres.session import MANY_TENANTS_WORK_MEM
from orgrecon_pipeline_tests.support.compare.endpoints import one_database, two_databases

Connect = Callable[[str], psycopg.Connection[Any]]
# Of one, two, three and four bytes in UTF-8. In WIN1252 the euro sorts before the umlaut, and in UTF-8 behind it.
NAMES = ["a", "\u00e4", "\u20ac", "z"]
COLUMNS = {"tenant_id": "t", "k": "k", "v": "v"}


def mapping(source: str = "public.old", target: str = "public.new", **top: Any) -> MappingConfig:
    return MappingConfig.model_validate({
        "version": 1, "scan": {"settle_seconds": 0, "rechecks": 1},
        "entities": {"things": {"key": ["k"], "compare": ["v"], "source": {"from": source, "columns": COLUMNS},
                                "target": {"from": target, "columns": COLUMNS}}},
        **top})


def tables(admin: psycopg.Connection[Any], tenant_type: str = "text") -> None:
    for side in ("old", "new"):
        admin.execute(sql.SQL("CREATE TABLE public.{} (t {}, k bigint, v text)").format(
            sql.Identifier(side), sql.SQL(tenant_type)))


def drifting(found: Comparison) -> dict[str, tuple[int, int]]:
    """Of each tenant with drift: how many keys are missing, and how many unexpected."""
    return {row.tenant: (row.missing, row.unexpected) for row in found.tenant_rows if row.drift}


@pytest.fixture(params=[NUMERIC_SUM, BIGINT_SUMS], ids=["whole", "halves"])
def sums(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> HashSum:
    monkeypatch.setattr(scan, "choose_hash_sum", lambda tenants: request.param)
    return request.param


@pytest.mark.parametrize("encoding", ["UTF8", "LATIN1", "WIN1252", "SQL_ASCII"])
def test_sides_with_other_tenants_in_any_encoding(server: Any, connect: Connect, sums: HashSum, encoding: str) -> None:
    database = f"sides_{encoding.lower()}_{'halves' if sums is BIGINT_SUMS else 'whole'}"
    with psycopg.connect(server.dsn(), autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING {} LOCALE 'C'").format(
            sql.Identifier(database), sql.Literal(encoding)))
    admin = connect(server.dsn(database))
    admin.execute("SET client_encoding = 'UTF8'")
    tables(admin)
    names = [name for name in NAMES if encoding != "LATIN1" or name != "\u20ac"]
    for place, name in enumerate(names):
        for side in ("old", "new"):
            admin.execute(f"INSERT INTO public.{side} VALUES (%s, 1, 'x')", (f"both {name}",))
        # Each side has tenants that the other one lacks, before and behind those of both.
        admin.execute(f"INSERT INTO public.{('old', 'new')[place % 2]} VALUES (%s, 1, 'x')", (f"{name} alone",))
    found = compare(mapping(), one_database(server.dsn(database)))
    assert drifting(found) == {f"{name} alone": ((1, 0), (0, 1))[place % 2] for place, name in enumerate(names)}
    assert list(found.present) == sorted([f"both {name}" for name in names] + [f"{name} alone" for name in names])
    assert found.tenants_scanned == 2 * len(names)


@pytest.mark.parametrize("tenant_type", ["bigint", "uuid", "numeric", "date"])
def test_tenants_that_do_not_sort_like_their_names(
    empty_database: str, connect: Connect, sums: HashSum, tenant_type: str
) -> None:
    admin = connect(empty_database)
    tables(admin, tenant_type)
    made = {"bigint": "i * 7 - 30", "uuid": "md5(i::text)::uuid", "numeric": "(i * 7 - 30) / 8.0",
            "date": "DATE '2000-01-01' - 400 * i * i"}[tenant_type]
    admin.execute(f"INSERT INTO public.old SELECT {made}, i, 'x' FROM generate_series(1, 12) i")
    admin.execute("INSERT INTO public.new SELECT * FROM public.old")
    admin.execute("DELETE FROM public.new WHERE k = 3; DELETE FROM public.old WHERE k = 9")
    wanted = dict(admin.execute(
        "SELECT trim_scale(t)::text, k FROM public.old UNION ALL SELECT trim_scale(t)::text, k FROM public.new"
        if tenant_type == "numeric" else
        "SELECT t::text, k FROM public.old UNION ALL SELECT t::text, k FROM public.new").fetchall())
    found = compare(mapping(), one_database(empty_database))
    assert drifting(found) == {name: {3: (1, 0), 9: (0, 1)}[key] for name, key in wanted.items() if key in (3, 9)}
    assert list(found.present) == sorted(wanted)


def test_a_role_that_may_read_nothing_but_views(empty_database: str, connect: Connect) -> None:
    """There is no table then that could tell the planner how many rows there are."""
    admin = connect(empty_database)
    tables(admin)
    admin.execute("""
        INSERT INTO public.old VALUES ('a', 1, 'x'), ('b', 1, NULL);
        INSERT INTO public.new VALUES ('a', 1, 'y'), ('b', 1, NULL);
        CREATE VIEW public.old_seen AS SELECT * FROM public.old;
        CREATE VIEW public.new_seen AS SELECT * FROM public.new;
        DROP ROLE IF EXISTS viewer; CREATE ROLE viewer LOGIN;
        GRANT SELECT ON public.old_seen, public.new_seen TO viewer""")
    try:
        as_viewer = empty_database.replace("postgres@", "viewer@")
        found = compare(mapping("public.old_seen", "public.new_seen"), one_database(as_viewer))
        assert [(row.tenant, row.mismatched) for row in found.tenant_rows if row.drift] == [("a", 1)]
    finally:
        admin.execute("DROP OWNED BY viewer; DROP ROLE viewer")


def test_a_universe_of_other_tenants(empty_database: str, connect: Connect) -> None:
    admin = connect(empty_database)
    tables(admin)
    admin.execute("""
        CREATE TABLE public.tenants (id text);
        INSERT INTO public.tenants VALUES ('a'), ('a'), ('absent'), ('\u20ac');
        INSERT INTO public.old VALUES ('a', 1, 'x'), ('undeclared', 1, 'x');
        INSERT INTO public.new SELECT * FROM public.old""")
    declared = mapping(tenants={"from": "public.tenants", "tenant": "id"})
    found = compare(declared, one_database(empty_database))
    assert (found.tenants_scanned, list(found.absent)) == (4, ["absent", "\u20ac"])
    assert [(row.tenant, row.source_rows) for row in found.tenant_rows] == [
        ("a", 1), ("absent", 0), ("undeclared", 1), ("\u20ac", 0)]
    admin.execute("TRUNCATE public.tenants")
    assert list(compare(declared, one_database(empty_database)).declared or ["not read"]) == ["not read"]


def test_values_longer_than_a_piece_come_whole(empty_database: str, connect: Connect, sums: HashSum) -> None:
    """A million bytes of names, and as many of numbers: both travel in pieces."""
    admin = connect(empty_database)
    tables(admin)
    admin.execute("INSERT INTO public.old SELECT 'tenant ' || i, i, 'x' FROM generate_series(1, 140000) i;"
                  "INSERT INTO public.new SELECT * FROM public.old;"
                  "UPDATE public.new SET v = 'y' WHERE k = 131073")
    found = compare(mapping(), one_database(empty_database))
    assert len(found.present) == 140_000
    assert [(row.tenant, row.mismatched) for row in found.tenant_rows if row.drift] == [("tenant 131073", 1)]


def test_the_planner_is_not_taken_in_by_a_join(empty_database: str, connect: Connect) -> None:
    """Unit and tenant say the same: the planner multiplies what it knows of both, and believes in next to no rows."""
    admin = connect(empty_database)
    admin.execute("""
        CREATE TABLE public.units (t text, id bigint, legacy bigint, PRIMARY KEY (t, id));
        CREATE TABLE public.members (t text, unit bigint, who bigint, v text);
        INSERT INTO public.units SELECT 't' || i, i, i FROM generate_series(1, 400) i;
        INSERT INTO public.members SELECT t, id, n, repeat('x', 150) FROM public.units, generate_series(1, 200) n
            ORDER BY random();
        CREATE INDEX ON public.members (t, unit);
        CREATE VIEW public.both AS SELECT m.t, u.legacy * 1000 + m.who AS k, m.v
            FROM public.members m JOIN public.units u ON u.id = m.unit AND u.t = m.t;
        ALTER DATABASE {} SET parallel_setup_cost = 0;
        ALTER DATABASE {} SET random_page_cost = 1.1;
        ALTER DATABASE {} SET min_parallel_table_scan_size = 0;
        ANALYZE""".replace("{}", admin.info.dbname).encode())
    reader = open_reader(mapping("public.both", "public.both"), one_database(empty_database), Deadline(60))
    try:
        assert isinstance(reader, scan.OneDatabase)
        reader.run_preflight()
        with reader.snapshot():
            session, [statements] = reader._session, reader._statements.values()
            statement = statements.side_arrays("source", reader._preflight.largest_table, NUMERIC_SUM, sorts_as_utf8=True)
            with session.planner_settings(SCAN_SETTINGS, MANY_TENANTS_WORK_MEM):
                plan = "\n".join(row["QUERY PLAN"] for row in session.query(
                    sql.SQL("EXPLAIN (COSTS OFF) {}").format(statement), "explaining"))
    finally:
        reader.close()
    below = plan[plan.index("Partial HashAggregate"):]
    assert "Hash Join" in below, plan
    assert "Nested Loop" not in below, plan
    assert "Gather" in plan[:plan.index("Partial HashAggregate")], plan


@pytest.mark.parametrize("databases", [1, 2])
@pytest.mark.parametrize("rechecks", [1, 2, 3, 4])
def test_a_side_that_looks_again_as_it_did_was_seen_changed(
    new_database: Callable[..., str], connect: Connect, databases: int, rechecks: int
) -> None:
    """A row wanders from one side to the other at every read: nothing was lost, and no read finds both."""
    dsns = [new_database() for _ in range(databases)]
    source, target = connect(dsns[0]), connect(dsns[-1])
    source.execute("CREATE TABLE public.old (t text, k bigint, v text)")
    target.execute("CREATE TABLE public.new (t text, k bigint, v text)")
    source.execute("INSERT INTO public.old VALUES ('a', 1, '0'), ('a', 2, 'lost')")
    reads = 0

    def wander(seconds: float) -> None:
        nonlocal reads
        reads += 1
        for side, admin, name in ((0, source, "old"), (1, target, "new")):
            admin.execute(f"DELETE FROM public.{name} WHERE k = 1")
            if reads % 2 == side:
                admin.execute(f"INSERT INTO public.{name} VALUES ('a', 1, %s)", (str(reads),))

    given = mapping()
    given = given.model_copy(update={"scan": given.scan.model_copy(update={"rechecks": rechecks})})
    found = compare(given, two_databases(dsns[0], dsns[-1]), wait=wander)
    assert found.keys_in_flux == 1
    assert drifting(found) == {"a": (1, 0)}, "the other key was lost, whatever this one does"
