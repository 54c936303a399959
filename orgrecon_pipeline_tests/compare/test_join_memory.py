"""Large tables are joined in parts that fit a processor's caches, with the same result."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg import sql

from orgrecon_pipeline.compare import one_database, reader
from orgrecon_pipeline.compare.engine import compare, open_reader
from orgrecon_pipeline.compare.queries.hash_sum import NUMERIC_SUM
from orgrecon_pipeline.compare.queries.statements import EntityStatements
from orgrecon_pipeline.compare.query_plan import HashJoins
from orgrecon_pipeline.compare.scan import join_memory, side_scan
from orgrecon_pipeline.compare.scan.join_memory import choose_memory, join_settings
from orgrecon_pipeline.compare.scan.side_scan import SCAN_SETTINGS
from orgrecon_pipeline.domain.mapping.model import MappingConfig
from orgrecon_pipeline.postgres.deadline import Deadline
from orgrecon_pipeline.postgres.session import Session
from orgrecon_pipeline_tests.support.compare import endpoints

MB = 2**20
TENANTS = 40
COLUMNS = {"tenant_id": "m.t", "unit": "u.legacy", "who": "m.who", "v": "m.v"}
JOIN = "public.members m JOIN public.units u ON u.id = m.unit AND u.t = m.t"


@pytest.fixture
def joined(empty_database: str, connect: Callable[[str], psycopg.Connection[Any]]) -> str:
    """DSN of a database whose target joins 8,000 units; a member of the second tenant is missing there."""
    connect(empty_database).execute(f"""
        CREATE TABLE public.tenants (id text);
        CREATE TABLE public.units (t text, id uuid, legacy bigint);
        CREATE TABLE public.members (t text, unit uuid, who bigint, v text);
        CREATE TABLE public.old (t text, unit bigint, who bigint, v text);
        INSERT INTO public.tenants SELECT 't' || i FROM generate_series(1, {TENANTS}) i;
        INSERT INTO public.units SELECT 't' || 1 + i % {TENANTS}, md5(i::text)::uuid, i FROM generate_series(1, 8000) i;
        INSERT INTO public.members SELECT t, id, n, 'x' FROM public.units, generate_series(1, 2) n;
        INSERT INTO public.old SELECT m.t, u.legacy, m.who, m.v FROM {JOIN};
        DELETE FROM public.members WHERE unit = md5('1')::uuid AND who = 1;
        ANALYZE""".encode())
    return empty_database


def mapping(target: str = JOIN, columns: dict[str, str] = COLUMNS) -> MappingConfig:
    return MappingConfig.model_validate({
        "version": 1, "scan": {"settle_seconds": 0, "rechecks": 1},
        "tenants": {"from": "public.tenants", "tenant": "id"},
        "entities": {"members": {
            "key": ["unit", "who"], "compare": ["v"],
            "source": {"from": "public.old", "columns": {"tenant_id": "t", "unit": "unit", "who": "who", "v": "v"}},
            "target": {"from": target, "columns": columns}}}})


@pytest.fixture
def small_tables_count_as_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "_MANY_ROWS", 0)
    monkeypatch.setattr(join_memory, "_LARGE_TABLE", 256 * 1024)
    monkeypatch.setattr(join_memory, "_SMALL", 64 * 1024)


@contextmanager
def _target_scan(config: MappingConfig, dsn: str) -> Iterator[tuple[Session, sql.Composed]]:
    """Yield a session in a snapshot with the settings of a scan, and the scan of the target."""
    opened = open_reader(config, endpoints.one_database(dsn), Deadline(60))
    try:
        assert isinstance(opened, one_database.OneDatabase)
        opened.run_preflight()
        with opened.snapshot():
            session, [statements] = opened._session, opened.statements.values()
            statement = statements.side_arrays(
                "target", opened._preflight.largest_table, NUMERIC_SUM, sorts_as_utf8=True)
            with session.planner_settings(SCAN_SETTINGS):
                yield session, statement
            session.query(sql.SQL("SELECT 1"), "using the transaction again")
    finally:
        opened.close()


@pytest.fixture
def settings_of(joined: str, small_tables_count_as_large: None) -> Callable[..., dict[str, str]]:
    """Returns the settings of the scan of a target, in a session with some settings of its role."""

    def settings(config: MappingConfig, tenants: int, options: str = "") -> dict[str, str]:
        with _target_scan(config, joined + options) as (session, statement):
            return join_settings(session, statement, "members", {}, tenants)

    return settings


@pytest.mark.parametrize(("table", "joined_bytes", "processes", "tenants", "memory"), [
    (8 * MB - 1, 100 * MB, 3, 1, None),  # fits the caches of many processors
    (8 * MB, 100 * MB, 3, 1, MB),
    (8 * MB, 100 * MB, 4, 1, MB),
    (8 * MB, 100 * MB, 5, 1, None),  # two parts are hardly smaller than the whole
    (19 * MB, 1_000 * MB, 3, 5_000, 5_000 * 256),
    (19 * MB, 1_000 * MB, 3, 20_000, None),  # the sums of the tenants need more than a part of the table
    (640 * MB, 1_000 * MB, 1, 1, 20 * MB),  # not more than 32 parts
    (19 * MB, 2_049 * MB, 3, 1, None),  # too much for temporary files
])
def test_memory_is_chosen_by_the_size_of_the_hash_table_and_the_tenants(
    table: int, joined_bytes: int, processes: int, tenants: int, memory: int | None
) -> None:
    assert choose_memory(HashJoins(table, joined_bytes, processes), tenants) == memory


def test_large_join_of_known_tenants_gets_little_memory(settings_of: Callable[..., dict[str, str]]) -> None:
    assert settings_of(mapping(), TENANTS) == {
        "work_mem": "64kB", "hash_mem_multiplier": "1", "enable_mergejoin": "off"}


@pytest.mark.parametrize("merge_joins", ["disabled", "possible"])
def test_join_in_parts_has_the_same_plan_or_keeps_its_memory(
    joined: str, small_tables_count_as_large: None, connect: Callable[[str], psycopg.Connection[Any]],
    monkeypatch: pytest.MonkeyPatch, merge_joins: str
) -> None:
    """With less memory and cheap random reads, the planner would rather merge in the order of indexes."""
    admin = connect(joined)
    admin.execute("""
        CREATE INDEX ON public.members (unit, t); CREATE INDEX ON public.units (id, t);
        ALTER DATABASE {0} SET random_page_cost = 1.1; ANALYZE""".replace("{0}", admin.info.dbname).encode())
    if merge_joins == "possible":
        monkeypatch.setattr(join_memory, "_KEEP_PLAN", {})
    with _target_scan(mapping(), joined) as (session, statement):
        chosen = join_settings(session, statement, "members", {}, TENANTS)
        with session.planner_settings(chosen):
            plan = session.query(sql.SQL("EXPLAIN (COSTS OFF) {}").format(statement), "explaining")
    assert bool(chosen) is (merge_joins == "disabled")
    assert "Hash Join" in "\n".join(row["QUERY PLAN"] for row in plan)


@pytest.mark.parametrize("tenants", [0, 4_000])
def test_join_of_unknown_or_many_tenants_keeps_its_memory(
    settings_of: Callable[..., dict[str, str]], tenants: int
) -> None:
    assert settings_of(mapping(), tenants) == {}


def test_join_keeps_its_memory_where_temporary_files_are_limited(
    settings_of: Callable[..., dict[str, str]]
) -> None:
    assert settings_of(mapping(), TENANTS, "&options=-ctemp_file_limit%3D1GB") == {}


def test_scan_that_cannot_be_explained_keeps_its_memory_and_its_transaction(
    settings_of: Callable[..., dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = sql.SQL("SELECT no_such_column")
    monkeypatch.setattr(EntityStatements, "side_arrays", lambda *arguments, **options: broken)
    assert settings_of(mapping(), TENANTS) == {}


@pytest.mark.parametrize("target", [
    f"(SELECT DISTINCT m.t, u.legacy, m.who, m.v FROM {JOIN}) AS d",
    f"(SELECT m.t, u.legacy, m.who, min(m.v) AS v FROM {JOIN} GROUP BY 1, 2, 3) AS d",
    f"(SELECT m.t, u.legacy, m.who, max(m.v) OVER (PARTITION BY m.t, u.legacy, m.who) AS v FROM {JOIN}) AS d",
    f"(SELECT m.t, u.legacy, m.who, m.v FROM {JOIN} WHERE m.who NOT IN (SELECT o.who + 9 FROM public.old o)) AS d",
    "(SELECT t, unit AS legacy, who, v FROM public.old) AS d",
])
def test_scan_that_sorts_or_groups_or_looks_up_or_joins_nothing_keeps_its_memory(
    settings_of: Callable[..., dict[str, str]], target: str
) -> None:
    columns = {"tenant_id": "d.t", "unit": "d.legacy", "who": "d.who", "v": "d.v"}
    assert settings_of(mapping(target, columns), TENANTS) == {}


@pytest.mark.parametrize("target_options", ["", "&options=-cjit%3Doff"], ids=["one database", "two databases"])
def test_join_in_parts_finds_the_same_drift(
    joined: str, small_tables_count_as_large: None, monkeypatch: pytest.MonkeyPatch, target_options: str
) -> None:
    chosen: list[dict[str, str]] = []

    def record(*arguments: Any) -> dict[str, str]:
        chosen.append(join_settings(*arguments))
        return chosen[-1]

    monkeypatch.setattr(side_scan, "join_settings", record)
    databases = endpoints.two_databases(joined, joined + target_options)
    in_parts = compare(mapping(), databases)
    assert [settings["work_mem"] for settings in chosen if settings] == ["64kB"]  # only the target joins
    monkeypatch.setattr(reader, "_MANY_ROWS", 10**9)
    at_once = compare(mapping(), databases)
    assert len([settings for settings in chosen if settings]) == 1
    assert [(row.tenant, row.missing) for row in in_parts.tenant_rows if row.drift] == [("t2", 1)]
    assert (in_parts.tenant_rows, in_parts.totals) == (at_once.tenant_rows, at_once.totals)
