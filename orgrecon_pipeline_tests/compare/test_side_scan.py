"""The scan of both sides of one database finds differing tenants of any name, type and encoding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg import sql

from orgrecon_pipeline.compare import one_database
from orgrecon_pipeline.compare.engine import compare, open_reader
from orgrecon_pipeline.compare.queries.hash_sum import BIGINT_SUMS, NUMERIC_SUM, HashSum
from orgrecon_pipeline.compare.result import Comparison
from orgrecon_pipeline.compare.scan.side_scan import SCAN_SETTINGS
from orgrecon_pipeline.domain.errors import CannotDecide
from orgrecon_pipeline.domain.mapping.model import MappingConfig
from orgrecon_pipeline.domain.reasons import ReasonCode
from orgrecon_pipeline.postgres.deadline import Deadline
from orgrecon_pipeline.postgres.encoding import Encoding
from orgrecon_pipeline.postgres.settings import RAISED_WORK_MEM
from orgrecon_pipeline_tests.support.compare import endpoints

Connect = Callable[[str], psycopg.Connection[Any]]
# One, two and three bytes in UTF-8. The euro sorts before the umlaut in WIN1252, and after it in UTF-8.
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


def drifting(comparison: Comparison) -> dict[str, tuple[int, int]]:
    """Return the numbers of missing and of unexpected keys, by tenant with drift."""
    return {row.tenant: (row.missing, row.unexpected) for row in comparison.tenant_rows if row.drift}


@pytest.fixture(params=[NUMERIC_SUM, BIGINT_SUMS], ids=["numeric", "bigint"])
def hash_sum(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> HashSum:
    monkeypatch.setattr(one_database, "choose_hash_sum", lambda tenants: request.param)
    return request.param


@pytest.mark.parametrize("encoding", ["UTF8", "LATIN1", "WIN1252", "SQL_ASCII"])
def test_tenants_of_one_side_only_are_found_in_any_encoding(
    server: Any, connect: Connect, hash_sum: HashSum, encoding: str
) -> None:
    database = f"sides_{encoding.lower()}_{'bigint' if hash_sum is BIGINT_SUMS else 'numeric'}"
    with psycopg.connect(server.dsn(), autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING {} LOCALE 'C'").format(
            sql.Identifier(database), sql.Literal(encoding)))
    admin = connect(server.dsn(database))
    admin.execute("SET client_encoding = 'UTF8'")
    tables(admin)
    names = [name for name in NAMES if encoding != "LATIN1" or name != "\u20ac"]
    for position, name in enumerate(names):
        for side in ("old", "new"):
            admin.execute(f"INSERT INTO public.{side} VALUES (%s, 1, 'x')", (f"both {name}",))
        # Tenants of one side only sort before and after the tenants of both sides.
        admin.execute(f"INSERT INTO public.{('old', 'new')[position % 2]} VALUES (%s, 1, 'x')", (f"{name} alone",))
    comparison = compare(mapping(), endpoints.one_database(server.dsn(database)))
    assert drifting(comparison) == {
        f"{name} alone": ((1, 0), (0, 1))[position % 2] for position, name in enumerate(names)}
    assert list(comparison.present) == sorted([f"both {name}" for name in names] + [f"{name} alone" for name in names])
    assert comparison.tenants_scanned == 2 * len(names)


@pytest.mark.parametrize("unequal", ["nothing", "sides", "universe"])
def test_names_in_another_order_than_requested_are_refused(
    server: Any, connect: Connect, monkeypatch: pytest.MonkeyPatch, unequal: str
) -> None:
    """A server that sorts otherwise, although it should sort as UTF-8. Equal sides must not hide it."""
    with psycopg.connect(server.dsn(), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE unsorted_{unequal} TEMPLATE template0 ENCODING 'WIN1252' LOCALE 'C'")
    dsn = server.dsn(f"unsorted_{unequal}")
    admin = connect(dsn)
    admin.execute("SET client_encoding = 'UTF8'")
    tables(admin)
    admin.execute("CREATE TABLE public.tenants (id text)")
    for name in NAMES:
        admin.execute("INSERT INTO public.tenants VALUES (%s)", (name,))
        if unequal != "universe" or name.isascii():
            admin.execute("INSERT INTO public.old VALUES (%s, 1, 'x')", (name,))
    admin.execute("INSERT INTO public.new SELECT * FROM public.old")
    if unequal == "sides":
        admin.execute("DELETE FROM public.new WHERE t = 'z'")
    universe = {"tenants": {"from": "public.tenants", "tenant": "id"}} if unequal == "universe" else {}
    compared = mapping(**universe)
    assert compare(compared, endpoints.one_database(dsn)).tenants_scanned == len(NAMES)
    monkeypatch.setattr(Encoding, "sorts_as_utf8", True)
    with pytest.raises(CannotDecide) as refused:
        compare(compared, endpoints.one_database(dsn))
    assert refused.value.reason.code is ReasonCode.UNSORTED_ROWS


@pytest.mark.parametrize("tenant_type", ["bigint", "uuid", "numeric", "date"])
def test_tenants_whose_type_sorts_differently_from_their_names_are_matched(
    empty_database: str, connect: Connect, hash_sum: HashSum, tenant_type: str
) -> None:
    admin = connect(empty_database)
    tables(admin, tenant_type)
    expression = {"bigint": "i * 7 - 30", "uuid": "md5(i::text)::uuid", "numeric": "(i * 7 - 30) / 8.0",
            "date": "DATE '2000-01-01' - 400 * i * i"}[tenant_type]
    admin.execute(f"INSERT INTO public.old SELECT {expression}, i, 'x' FROM generate_series(1, 12) i")
    admin.execute("INSERT INTO public.new SELECT * FROM public.old")
    admin.execute("DELETE FROM public.new WHERE k = 3; DELETE FROM public.old WHERE k = 9")
    keys = dict(admin.execute(
        "SELECT trim_scale(t)::text, k FROM public.old UNION ALL SELECT trim_scale(t)::text, k FROM public.new"
        if tenant_type == "numeric" else
        "SELECT t::text, k FROM public.old UNION ALL SELECT t::text, k FROM public.new").fetchall())
    comparison = compare(mapping(), endpoints.one_database(empty_database))
    assert drifting(comparison) == {name: {3: (1, 0), 9: (0, 1)}[key] for name, key in keys.items() if key in (3, 9)}
    assert list(comparison.present) == sorted(keys)


def test_role_that_may_read_only_views_can_compare(empty_database: str, connect: Connect) -> None:
    """There is no table then from which the planner could estimate the number of rows."""
    admin = connect(empty_database)
    tables(admin)
    admin.execute("""
        INSERT INTO public.old VALUES ('a', 1, 'x'), ('b', 1, NULL);
        INSERT INTO public.new VALUES ('a', 1, 'y'), ('b', 1, NULL);
        CREATE VIEW public.old_view AS SELECT * FROM public.old;
        CREATE VIEW public.new_view AS SELECT * FROM public.new;
        DROP ROLE IF EXISTS viewer; CREATE ROLE viewer LOGIN;
        GRANT SELECT ON public.old_view, public.new_view TO viewer""")
    try:
        as_viewer = empty_database.replace("postgres@", "viewer@")
        comparison = compare(mapping("public.old_view", "public.new_view"), endpoints.one_database(as_viewer))
        assert [(row.tenant, row.mismatched) for row in comparison.tenant_rows if row.drift] == [("a", 1)]
    finally:
        admin.execute("DROP OWNED BY viewer; DROP ROLE viewer")


def test_declared_universe_and_present_tenants_are_united(empty_database: str, connect: Connect) -> None:
    admin = connect(empty_database)
    tables(admin)
    admin.execute("""
        CREATE TABLE public.tenants (id text);
        INSERT INTO public.tenants VALUES ('a'), ('a'), ('absent'), ('\u20ac');
        INSERT INTO public.old VALUES ('a', 1, 'x'), ('undeclared', 1, 'x');
        INSERT INTO public.new SELECT * FROM public.old""")
    declared = mapping(tenants={"from": "public.tenants", "tenant": "id"})
    comparison = compare(declared, endpoints.one_database(empty_database))
    assert (comparison.tenants_scanned, list(comparison.absent)) == (4, ["absent", "\u20ac"])
    assert [(row.tenant, row.source_rows) for row in comparison.tenant_rows] == [
        ("a", 1), ("absent", 0), ("undeclared", 1), ("\u20ac", 0)]
    admin.execute("TRUNCATE public.tenants")
    assert list(compare(declared, endpoints.one_database(empty_database)).declared or ["not read"]) == ["not read"]


def test_results_longer_than_a_piece_are_complete(empty_database: str, connect: Connect, hash_sum: HashSum) -> None:
    """More than 1 MiB of names, and of numbers, arrive in pieces."""
    admin = connect(empty_database)
    tables(admin)
    admin.execute("INSERT INTO public.old SELECT 'tenant ' || i, i, 'x' FROM generate_series(1, 140000) i;"
                  "INSERT INTO public.new SELECT * FROM public.old;"
                  "UPDATE public.new SET v = 'y' WHERE k = 131073")
    comparison = compare(mapping(), endpoints.one_database(empty_database))
    assert len(comparison.present) == 140_000
    assert [(row.tenant, row.mismatched) for row in comparison.tenant_rows if row.drift] == [("tenant 131073", 1)]


def test_planner_uses_parallel_hash_join_though_it_underestimates_the_rows(
    empty_database: str, connect: Connect
) -> None:
    """Unit and tenant are correlated, so the planner multiplies their selectivities and expects almost no rows."""
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
    reader = open_reader(mapping("public.both", "public.both"), endpoints.one_database(empty_database), Deadline(60))
    try:
        assert isinstance(reader, one_database.OneDatabase)
        reader.run_preflight()
        with reader.snapshot():
            session, [statements] = reader._session, reader.statements.values()
            largest_table = reader._preflight.largest_table
            statement = statements.side_arrays("source", largest_table, NUMERIC_SUM, sorts_as_utf8=True)
            with session.planner_settings(SCAN_SETTINGS, RAISED_WORK_MEM):
                plan = "\n".join(row["QUERY PLAN"] for row in session.query(
                    sql.SQL("EXPLAIN (COSTS OFF) {}").format(statement), "explaining"))
    finally:
        reader.close()
    below = plan[plan.index("Partial HashAggregate"):]
    assert "Parallel Hash Join" in below, plan
    # Nowhere: before PostgreSQL 18, the cost of a disabled nested loop hides the costs of all other nodes.
    assert "Nested Loop" not in plan, plan
    assert "Gather" in plan[:plan.index("Partial HashAggregate")], plan


def test_key_join_joins_hashes_instead_of_wide_rows(empty_database: str, connect: Connect) -> None:
    admin = connect(empty_database)
    tables(admin)
    for side in ("old", "new"):
        admin.execute(f"INSERT INTO public.{side} SELECT 'a', i, repeat('x', 500) FROM generate_series(1, 2000) i")
    admin.execute("ANALYZE")
    reader = open_reader(mapping(), endpoints.one_database(empty_database), Deadline(60))
    try:
        assert isinstance(reader, one_database.OneDatabase)
        reader.run_preflight()
        with reader.snapshot():
            [statements] = reader.statements.values()
            statement = statements.key_join(reader._preflight.largest_table, all_tenants=True)
            with reader._session.planner_settings({"enable_mergejoin": "off"}):
                [row] = reader._session.query(sql.SQL("EXPLAIN (FORMAT JSON) {}").format(statement), "explaining")
    finally:
        reader.close()
    nodes = [row["QUERY PLAN"][0]["Plan"]]
    for node in nodes:
        nodes += node.get("Plans", [])
    [join] = [node for node in nodes if node.get("Join Type") == "Full"]
    assert max(side["Plan Width"] for side in join["Plans"]) < 100, join


@pytest.mark.parametrize("databases", [1, 2])
@pytest.mark.parametrize("rechecks", [1, 2, 3, 4])
def test_key_whose_sides_return_to_an_earlier_state_stays_in_flux(
    new_database: Callable[..., str], connect: Connect, databases: int, rechecks: int
) -> None:
    """A row moves to the other side before every read. It is not lost, but no read finds it on both sides."""
    dsns = [new_database() for _ in range(databases)]
    source, target = connect(dsns[0]), connect(dsns[-1])
    source.execute("CREATE TABLE public.old (t text, k bigint, v text)")
    target.execute("CREATE TABLE public.new (t text, k bigint, v text)")
    source.execute("INSERT INTO public.old VALUES ('a', 1, '0'), ('a', 2, 'lost')")
    reads = 0

    def move(seconds: float) -> None:
        nonlocal reads
        reads += 1
        for side, admin, name in ((0, source, "old"), (1, target, "new")):
            admin.execute(f"DELETE FROM public.{name} WHERE k = 1")
            if reads % 2 == side:
                admin.execute(f"INSERT INTO public.{name} VALUES ('a', 1, %s)", (str(reads),))

    settings = mapping()
    settings = settings.model_copy(update={"scan": settings.scan.model_copy(update={"rechecks": rechecks})})
    comparison = compare(settings, endpoints.two_databases(dsns[0], dsns[-1]), wait=move)
    assert comparison.keys_in_flux == 1
    assert drifting(comparison) == {"a": (1, 0)}, "the other key is lost"
