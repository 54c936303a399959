"""Casts that can lose information are warned about, wherever a mapped column passes through them; others are not."""

from __future__ import annotations

import re
from typing import Any

import psycopg
import pytest

from orgrecon_pipeline.compare.preflight import run_preflight
from orgrecon_pipeline.compare.types.lossless import keeps_every_value
from orgrecon_pipeline.domain.mapping.model import MappingConfig, ScanSettings
from orgrecon_pipeline.postgres.deadline import Deadline
from orgrecon_pipeline.postgres.session import Session
from orgrecon_pipeline.postgres.settings import SETTINGS
from orgrecon_pipeline_tests.support.compare import endpoints
from orgrecon_pipeline_tests.support.compare.type_values import CREATE_TYPES, VALUES

COLUMNS = {
    "small": "smallint", "number": "integer", "long": "bigint", "exact": "numeric", "money6": "numeric(6,2)",
    "float4": "real", "float8": "double precision", "yes": "boolean", "fixed": "char(10)", "short": "varchar(5)",
    "words": "text", "id": "uuid", "day": "date", "moment": "timestamptz", "local": "timestamp",
    "milli": "timestamp(3)",
    "clock": "time", "span": "interval", "bits": "bit(8)", "many_bits": "varbit(8)", "doc": "json", "docb": "jsonb",
    "host": "inet", "net": "cidr", "cash": "money", "numbers": "integer[]", "longs": "bigint[]",
    "label": "public.label",
    "bounded": "public.small", "oid": "oid",
}
#: Expression, and the type to which it casts with a loss; None if it loses nothing.
CASES: list[tuple[str, str | None]] = [
    *((f"{column}::text", None) for column in COLUMNS),
    ("number::bigint", None), ("number::numeric", None), ("small::real", None), ("float4::float8", None),
    ("yes::int", None), ("number::float8", None), ("float8::text::numeric", None), ("cash::numeric", None),
    ("number::numeric(12,2)", None), ("money6::numeric(8,4)", None), ("money6::numeric(8,2)", None),
    ("long::int", "integer"), ("exact::bigint", "bigint"), ("exact::float8", "double precision"),
    ("float8::numeric", "numeric"), ("float8::real", "real"), ("number::real", "real"), ("long::float8",
    "double precision"),
    ("number::boolean", "boolean"), ("exact::numeric(6,2)", "numeric(6,2)"), ("money6::numeric(6,1)", "numeric(6,1)"),
    ("exact::money", "money"), ("bounded::smallint", "smallint"), ("bounded::bigint", None), ("int2(number)",
    "smallint"),
    ("CAST(exact AS integer)", "integer"), ("oid::bigint", None), ("words::int", "integer"),
    ("words::timestamptz", "timestamp with time zone"), ("words::public.label", None),
    ("label::text::public.label", None),
    ("fixed::char", "character(1)"), ("fixed::char(10)", None), ("fixed::char(12)", None), ("words::char(3)",
    "character"),
    ("short::varchar(3)", "character varying(3)"), ("short::varchar(9)", None), ("words::name", "name"),
    ("id::varchar(36)", None), ("id::char(36)", None), ("id::varchar(8)", "character varying(8)"),
    ("number::varchar(11)", None), ("number::varchar(3)", "character varying(3)"), ("words::\"char\"", '"char"'),
    ("moment::date", "date"), ("date(moment)", "date"), ("local::date", "date"), ("moment::time",
    "time without time zone"),
    ("day::timestamptz", None), ("local::timestamptz", None), ("moment::timestamp", None), ("day::timestamp(0)", None),
    ("local::timestamp(3)", "timestamp(3) without time zone"), ("milli::timestamp(3)", None),
    ("milli::timestamp", None),
    ("moment::timestamptz(0)", "timestamp(0) with time zone"), ("clock::time(0)", "time(0) without time zone"),
    ("span::interval(0)", "interval(0)"), ("span::interval day", "interval day"), ("span::time",
    "time without time zone"),
    ("clock::interval", None), ("bits::bit(4)", "bit(4)"), ("bits::bit(8)", None), ("bits::varbit", None),
    ("many_bits::bit(8)", "bit"), ("number::bit(8)", "bit(8)"), ("bits::int", None), ("doc::jsonb", "jsonb"),
    ("docb::json", "json"), ("host::cidr", "cidr"), ("net::inet", None), ("numbers::bigint[]", None),
    ("longs::int[]", "integer"), ("5::smallint", None), ("coalesce(number::smallint, 0)", "smallint"),
    ("(CASE WHEN day::timestamp(0) IS NULL THEN 1 ELSE number END)", None),
    ("(CASE WHEN yes THEN long::int END)", "integer"), ("(SELECT max(r.number::smallint) FROM public.wide r)",
    "smallint"),
    ("upper(left(words, 2))", None), ("number = 1", None),
]
#: FROM clause whose column v passes through a lossy cast, and where that is.
RELATIONS = {
    "view": ("public.narrow", " (in view public.narrow)"),
    "view of a view": ("public.outer_narrow", " (in view public.narrow)"),
    "branch of a union in a view": ("public.united", " (in view public.united)"),
    "view that groups": ("public.grouped", " (in view public.grouped)"),
    "subquery": ("(SELECT t, k, long::int AS v FROM public.wide) AS r", ""),
    "common table expression": ("(WITH c AS (SELECT t, k, long::int AS v FROM public.wide) SELECT * FROM c) AS r", ""),
    "join": ("public.narrow JOIN public.wide AS w USING (t, k)", " (in view public.narrow)"),
    "values": ("(SELECT t, k, x.v FROM public.wide, LATERAL (VALUES (long::int)) AS x (v)) AS r", ""),
}
PREPARE = f"""
    {CREATE_TYPES};
    CREATE TABLE public.wide (t text, k integer, {", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())});
    CREATE VIEW public.narrow AS SELECT t, k, long::int AS v, exact::int AS unused FROM public.wide WHERE long::int > 0;
    CREATE VIEW public.outer_narrow AS SELECT * FROM public.narrow;
    CREATE VIEW public.united AS
        SELECT t, k, number AS v FROM public.wide UNION ALL SELECT t, k, long::int FROM public.wide;
    CREATE VIEW public.grouped AS SELECT t, k, long::int AS v FROM public.wide GROUP BY 1, 2, 3"""


@pytest.fixture(scope="module")
def dsn(maintenance: Any, server: Any) -> Any:
    maintenance.execute("CREATE DATABASE lossy_casts")
    with psycopg.connect(server.dsn("lossy_casts"), autocommit=True) as admin:
        admin.execute(PREPARE)
    yield server.dsn("lossy_casts")
    maintenance.execute("DROP DATABASE lossy_casts")


def warned(dsn: str, relation: str, value: str) -> list[str]:
    """Return what the warnings about a lossy cast name, where column v is mapped to an expression."""
    side = {"from": relation, "columns": {"tenant_id": "t", "k": "k", "v": value}}
    mapping = MappingConfig.model_validate({
        "version": 1, "entities": {"things": {"key": ["k"], "compare": ["v"], "source": side, "target": side}}})
    session = Session(endpoints.one_database(dsn).source, ScanSettings(), Deadline(60))
    try:
        preflight = run_preflight(session, mapping, ("source",))
    finally:
        session.close()
    assert {warning["code"] for warning in preflight.warnings} <= {"lossy_cast"}, preflight.warnings
    return [name for warning in preflight.warnings for name in warning["names"]]


@pytest.mark.parametrize(("expression", "target"), CASES)
def test_cast_in_a_mapping_is_warned_about_only_if_it_can_lose_something(
    dsn: str, expression: str, target: str | None
) -> None:
    names = warned(dsn, "public.wide", expression)
    assert bool(names) is (target is not None), names
    assert target is None or any(re.fullmatch(rf"v to {re.escape(target)}(\(\d+\))?", name) for name in names), names


@pytest.mark.parametrize("relation", RELATIONS)
def test_cast_behind_a_column_is_named_with_its_view(dsn: str, relation: str) -> None:
    text, within = RELATIONS[relation]
    assert warned(dsn, text, "v") == [f"v to integer{within}"]


def test_cast_of_another_column_or_in_a_condition_is_not_warned_about(dsn: str) -> None:
    relation = "(SELECT t, k, number AS v, long::int AS other FROM public.wide WHERE exact::int > 0) AS r"
    assert warned(dsn, relation, "v") == []


def test_casts_that_are_not_warned_about_keep_values_different(dsn: str) -> None:
    """Checked with the values of every type, for each cast that the server has and each cast through text."""
    checked = 0
    with psycopg.connect(dsn, autocommit=True) as admin:
        for name, value in SETTINGS.items():
            admin.execute("SELECT set_config(%s, %s, false)", [name, value])
        casts = {(source, target) for source, target in admin.execute(
            "SELECT format_type(castsource, NULL), format_type(casttarget, NULL) FROM pg_cast")}
        for source, values in VALUES.items():
            [plain] = admin.execute("SELECT format_type(to_regtype(%s), NULL)", [source]).fetchone() or [None]
            if plain is None:
                continue
            for target in {target for start, target in casts if start == plain} | {"text"}:
                if not keeps_every_value(plain, target) or target == "bit":
                    continue
                name = "bpchar" if target == "character" else target  # character alone has one letter
                listed = ", ".join(f"('{value}'::{source}::{name})" for value in values)
                number = admin.execute(
                    f"SELECT count(*) FROM (SELECT DISTINCT v::text FROM (VALUES {listed}) AS r (v)) AS d").fetchone()
                assert number == (len(values),), (source, target)
                checked += 1
    assert checked > 120
