"""Tenants, keys and values of many types are compared correctly, whatever the settings of the server and the role."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest
from psycopg import sql

from orgrecon_pipeline.compare import one_database
from orgrecon_pipeline.compare.engine import compare
from orgrecon_pipeline.compare.keys import drilldown, key_join, recheck
from orgrecon_pipeline.compare.result import Comparison
from orgrecon_pipeline.domain.errors import CannotDecide
from orgrecon_pipeline.domain.mapping.model import MappingConfig
from orgrecon_pipeline_tests.support.compare import endpoints

KINDS = ("missing", "unexpected", "mismatched", "duplicate")


def mapping(key: str = "k", value: str = "v", **top: Any) -> MappingConfig:
    columns = {"tenant_id": "t", key: "k", value: "v"}
    return MappingConfig.model_validate({
        "version": 1, "scan": {"settle_seconds": 0, "rechecks": 1},
        "entities": {"things": {"key": [key], "compare": [value], "source": {"from": "public.old", "columns": columns},
                                "target": {"from": "public.new", "columns": columns}}},
        **top})


@dataclass
class Pair:
    """Tables ``old`` and ``new`` in one database or in two."""

    dsns: tuple[str, str]
    admins: tuple[psycopg.Connection[Any], psycopg.Connection[Any]]
    mapping: MappingConfig = field(default_factory=mapping)

    def both(self, statement: str) -> None:
        for admin in dict.fromkeys(self.admins):
            admin.execute(statement)

    def tables(self, tenant: str = "text", value: str = "text", *values: str) -> None:
        """Create both tables with the same rows."""
        for admin, name in zip(self.admins, ("old", "new"), strict=True):
            admin.execute(f"CREATE TABLE public.{name} (t {tenant}, k bigint, v {value})")
            for row in values:
                admin.execute(f"INSERT INTO public.{name} VALUES {row}")

    def run(self, side: int, statement: str) -> None:
        self.admins[side].execute(statement)

    def compare(self, exact: bool = False, options: str = "") -> Comparison:
        source, target = (f"{dsn}&options={options}" if options else dsn for dsn in self.dsns)
        return compare(self.mapping, endpoints.two_databases(source, target), exact=exact)

    def drift(self, **arguments: Any) -> dict[str, dict[str, int]]:
        return {row.tenant: {kind: number for kind in KINDS if (number := getattr(row, kind))}
                for row in self.compare(**arguments).tenant_rows if row.drift}


@pytest.fixture(params=["one", "two"])
def pair(request: pytest.FixtureRequest, new_database: Callable[..., str], connect: Any) -> Pair:
    return apart(new_database, connect) if request.param == "two" else together(new_database, connect)


@pytest.fixture
def alone(new_database: Callable[..., str], connect: Any) -> Pair:
    return together(new_database, connect)


@pytest.fixture
def split(new_database: Callable[..., str], connect: Any) -> Pair:
    return apart(new_database, connect)


def together(new_database: Callable[..., str], connect: Any) -> Pair:
    dsn = new_database()
    admin = connect(dsn)
    return Pair((dsn, dsn), (admin, admin))


def apart(new_database: Callable[..., str], connect: Any) -> Pair:
    source, target = new_database(), new_database()
    return Pair((source, target), (connect(source), connect(target)))


@pytest.mark.parametrize("exact", [False, True], ids=["fingerprints", "exact"])
@pytest.mark.parametrize(("kind", "names"), [
    ("char(26)", ["alpha", "beta", "gamma"]),
    ("varchar(26)", ["alpha", "beta", "gamma"]),
    ("bit(8)", ["10000001", "10000010", "11000000"]),
    ("varbit", ["1", "10", "100"]),
    ("\"char\"", ["a", "b", "c"]),
    ("name", ["alpha", "beta", "gamma"]),
    ("inet", ["10.0.0.1", "10.0.0.2", "::1"]),
    ("boolean", ["false", "true"]),
    ("timestamptz", ["2026-01-01 00:00:00+00", "2026-01-01 00:00:01+00"]),
    ("interval", ["P1D", "PT25H"]),
    ("bytea", ["\\x00ff", "\\x0100"]),
    ("public.kind", ["alpha", "beta"]),
])
def test_drift_in_tenants_of_any_type_is_found(pair: Pair, kind: str, names: list[str], exact: bool) -> None:
    """The rows of one tenant are missing, and a row of another tenant has another value."""
    pair.both("CREATE TYPE public.kind AS ENUM ('alpha', 'beta')")
    pair.tables(kind, "text", *(f"('{name}', {k}, 'x')" for name in names for k in (1, 2)))
    first, *others = names
    pair.run(1, f"DELETE FROM public.new WHERE t = '{first}'")
    pair.run(1, f"UPDATE public.new SET v = 'y' WHERE t = '{others[0]}' AND k = 2")
    drift = pair.drift(exact=exact)
    assert sorted(map(str, drift.values())) == sorted(map(str, [{"missing": 2}, {"mismatched": 1}]))


@pytest.mark.parametrize("kind", ["int[]", "jsonb", "int4range", "public.pair"])
def test_tenant_type_whose_equal_values_have_several_texts_is_refused(alone: Pair, kind: str) -> None:
    alone.both("CREATE TYPE public.pair AS (a numeric)")
    alone.tables(kind)
    with pytest.raises(CannotDecide, match=re.escape("things.tenant_id is ") + ".*cast it in the mapping"):
        alone.compare()


@pytest.mark.parametrize(("kind", "values"), [
    ("numeric(10,2)", ["1.25", "2.50", "3.00"]), ("double precision", ["-0", "1"]),
    ("interval", ["'24 hours'", "'30 days'"]), ("char(8)", ["'a'", "'b'"]),
])
def test_declared_tenants_get_the_same_names_as_compared_tenants(pair: Pair, kind: str, values: list[str]) -> None:
    """Under two names, one tenant would count as two."""
    pair.tables(kind, "text", *(f"({value}, 1, 'x')" for value in values))
    pair.run(0, "CREATE TABLE public.tenants AS SELECT t AS id FROM public.old")
    pair.mapping = mapping(tenants={"from": "public.tenants", "tenant": "id"})
    found = pair.compare()
    assert found.declared == found.present
    assert found.tenants_scanned == len(values)


@pytest.mark.parametrize("name", ["\u00e9", "\u00c3\u00a9"])
def test_tenant_names_from_parallel_workers_are_the_same(server: Any, connect: Any, name: str) -> None:
    """The client encoding of a parallel worker is that of the database."""
    database = f"workers_{len(name)}"
    with psycopg.connect(server.dsn(), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {database} TEMPLATE template0 ENCODING LATIN1 LOCALE 'C'")
    dsn = server.dsn(database)
    admin = connect(dsn)
    admin.execute("SET client_encoding = 'UTF8'")
    setting = "debug_parallel_query" if admin.info.server_version >= 160_000 else "force_parallel_mode"
    pair = Pair((dsn, dsn), (admin, admin), mapping(tenants={"from": "public.old", "tenant": "t"}))
    pair.tables("text", "text", f"('{name}', 1, 'x')")
    pair.run(1, "UPDATE public.new SET v = 'y'")
    assert pair.drift(options=f"-c{setting}%3Don") == {name: {"mismatched": 1}}
    pair.run(1, "UPDATE public.new SET v = 'x'")
    found = pair.compare(options=f"-c{setting}%3Don")
    assert list(found.present) == list(found.declared or ()) == [name]


def test_quote_all_identifiers_of_the_role_does_not_change_type_names(pair: Pair) -> None:
    pair.tables("varchar(9)", "text", "('a', 1, 'x')")
    pair.run(1, "ALTER TABLE public.new ALTER t TYPE text")
    pair.run(1, "UPDATE public.new SET v = 'y'")
    assert pair.drift(options="-cquote_all_identifiers%3Don") == {"a": {"mismatched": 1}}


def test_type_in_a_schema_without_usage_for_the_role_is_compared(alone: Pair) -> None:
    alone.both("""
        CREATE SCHEMA kinds;
        CREATE TYPE kinds."odd %s {} \"\"kind" AS ENUM ('x', 'y');
        DROP ROLE IF EXISTS only_select;
        CREATE ROLE only_select LOGIN""")
    kind = 'kinds."odd %s {} ""kind"'
    alone.tables(kind, kind, "('x', 1, 'x')", "('y', 1, 'y')")
    alone.both("GRANT SELECT ON public.old, public.new TO only_select")
    alone.run(1, "UPDATE public.new SET v = 'y'")
    alone.dsns = tuple(dsn.replace("postgres@", "only_select@") for dsn in alone.dsns)  # type: ignore[assignment]
    assert alone.drift() == {"x": {"mismatched": 1}}


def test_tenant_with_an_enum_label_of_one_database_only_is_missing(split: Pair) -> None:
    split.run(0, "CREATE TYPE public.kind AS ENUM ('a', 'b', 'c')")
    split.run(1, "CREATE TYPE public.kind AS ENUM ('a', 'b')")
    split.tables("public.kind", "text", "('a', 1, 'x')")
    split.run(0, "INSERT INTO public.old VALUES ('c', 1, 'x')")
    assert split.drift() == {"c": {"missing": 1}}


@pytest.mark.parametrize("name", [
    "tenant", "row_count", "source_copies", "kind", "copies", "key_hash", "row_hash", "on_source", "number_in_kind",
    "name", "fingerprint", "key_0", "bucket", "value_0", "nulls_0", "source_state", "changed", "missing", "high",
    "rows", "select",
])
def test_mapped_column_with_a_name_used_in_the_statements_is_compared(pair: Pair, name: str) -> None:
    pair.tables("text", "text", "('a', 1, 'x')", "('a', 2, 'x')", "('b', 1, 'x')")
    pair.run(1, "UPDATE public.new SET v = 'y' WHERE k = 2")
    pair.run(1, "DELETE FROM public.new WHERE t = 'b'")
    for renamed in (mapping(key=name), mapping(value=name)):
        pair.mapping = renamed
        assert pair.drift() == {"a": {"mismatched": 1}, "b": {"missing": 1}}
        [entity] = renamed.entities.values()
        assert {(*s.key, s.columns) for s in pair.compare().samples} == {
            (*entity.key, entity.compare), (*entity.key, ())}


def test_composite_value_with_a_null_field_counts_as_a_value(alone: Pair) -> None:
    alone.both("CREATE TYPE public.pair AS (a int, b int)")
    alone.tables("text", "public.pair", "('a', 1, '(1,)')", "('a', 2, NULL)")
    assert alone.compare().values == {"things": {"v": 2}}


def test_join_of_many_copies_of_a_key_is_given_up(alone: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    alone.tables("text", "text")
    for side, name in enumerate(("old", "new")):
        alone.run(side, f"INSERT INTO public.{name} SELECT 'a', 1, 'x' FROM generate_series(1, {4000 - side})")
    calls = []
    monkeypatch.setattr(key_join, "_MIN_SECONDS", 0.1)
    monkeypatch.setattr(key_join, "_ROWS_PER_SECOND", 1e9)
    monkeypatch.setattr(recheck, "drill_down", lambda *arguments, **options: (
        calls.append(1) or drilldown.drill_down(*arguments, **options)))
    assert alone.drift() == {"a": {"duplicate": 1}}
    assert len(calls) == 1, "instead of the join; the recheck reads no keys of unchanged rows"


def test_differing_tenant_without_drifting_keys_is_not_decided(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """The drill-down reads no rows of the tenant, but its fingerprints differ."""
    pair.tables("text", "text", "('a', 1, 'x')", "('b', 1, 'x')")
    pair.run(1, "UPDATE public.new SET v = 'y' WHERE t = 'b'")
    monkeypatch.setattr("orgrecon_pipeline.compare.queries.statements.EntityStatements._is_wanted",
                        lambda self, tenant: sql.SQL("%(tenants)s::text[] IS NULL"))
    monkeypatch.setattr(one_database, "run_self_test", lambda *arguments: None)
    monkeypatch.setattr("orgrecon_pipeline.compare.two_databases.run_self_test_across", lambda *arguments: None)
    with pytest.raises(CannotDecide, match="the sides of tenant b differ"):
        pair.compare(exact=True)


@pytest.mark.parametrize("encoding", ["LATIN9", "WIN1252", "KOI8R"])
def test_tenant_that_one_database_cannot_encode_is_missing(
    server: Any, connect: Any, split: Pair, encoding: str
) -> None:
    with psycopg.connect(server.dsn(), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE limited_{encoding} TEMPLATE template0 ENCODING {encoding} LOCALE 'C'")
    limited = server.dsn(f"limited_{encoding}".lower())
    pair = Pair((split.dsns[0], limited), (split.admins[0], connect(limited)))
    pair.tables("text", "text", "('a', 1, 'x')")
    pair.run(0, "INSERT INTO public.old VALUES ('\u4f60', 1, 'x'), ('z', 1, 'x')")
    assert pair.drift() == {"\u4f60": {"missing": 1}, "z": {"missing": 1}}
