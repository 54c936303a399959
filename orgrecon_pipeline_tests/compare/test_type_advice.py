"""The advice on columns of different types loses nothing and makes equal what is equal, for every pair of types.

The pairs are generated from a table of values, which must name every type of the server.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import permutations
from typing import Any

import psycopg
import pytest

from orgrecon_pipeline.compare.catalog import types_by_oid
from orgrecon_pipeline.compare.engine import compare
from orgrecon_pipeline.compare.queries.column_type import ColumnType
from orgrecon_pipeline.compare.types.lossless import EXPRESSION, common_conversion
from orgrecon_pipeline.domain.errors import CannotDecide
from orgrecon_pipeline.domain.mapping.model import MappingConfig, ScanSettings
from orgrecon_pipeline.postgres.deadline import Deadline
from orgrecon_pipeline.postgres.session import Session
from orgrecon_pipeline.postgres.settings import SETTINGS
from orgrecon_pipeline_tests.support.compare import endpoints
from orgrecon_pipeline_tests.support.compare.type_values import CREATE_TYPES, MEANINGS, VALUES

#: A client sees the base type of a domain.
BASE_TYPES = {"public.small": "integer"}
# Types for internal use have no casts, and a server can be built without xml.
EVERY_TYPE = """
    SELECT format_type(oid, NULL) FROM pg_type
    WHERE oid < 16384 AND typnamespace = 'pg_catalog'::regnamespace AND typtype IN ('b', 'r', 'm')
      AND typcategory NOT IN ('A', 'X', 'Z') AND typname NOT IN ('aclitem', 'gtsvector', 'refcursor', 'xml')
      AND (typcategory <> 'S' OR typname NOT LIKE 'pg%')  -- internal types before PostgreSQL 15"""




@pytest.fixture(scope="module")
def database(maintenance: Any, server: Any) -> Any:
    maintenance.execute("CREATE DATABASE type_advice")
    with psycopg.connect(server.dsn("type_advice"), autocommit=True) as admin:
        admin.execute(CREATE_TYPES)
        for name, value in SETTINGS.items():
            admin.execute("SELECT set_config(%s, %s, false)", [name, value])
        yield admin
    maintenance.execute("DROP DATABASE type_advice")


@pytest.fixture(scope="module")
def types(database: Any, server: Any) -> dict[str, ColumnType]:
    """Return each type of VALUES that the server has."""
    oids = {}
    for name in VALUES:
        [oid] = database.execute("SELECT to_regtype(%s)::oid::bigint", [without_length(name)]).fetchone()
        if oid is not None:
            oids[name] = oid
    session = Session(endpoints.one_database(server.dsn("type_advice")).source, ScanSettings(), Deadline(60))
    with session.transaction():
        by_oid = types_by_oid(session, set(oids.values()))
    session.close()
    return {name: by_oid[oid] for name, oid in oids.items()}


def without_length(name: str) -> str:
    return re.sub(r"\(.*\)", "", name)


def applied(expression: str, value: str) -> str:
    return expression.replace(EXPRESSION, f"({value})")


def test_table_of_values_names_every_type_of_the_server(database: Any) -> None:
    of_server = {name for (name,) in database.execute(EVERY_TYPE)}
    assert len(of_server) > 50
    assert of_server - {without_length(name) for name in VALUES} == {"character varying"}


def test_advice_for_every_pair_of_types_loses_nothing(database: Any, types: dict[str, ColumnType]) -> None:
    """Both expressions have one type, different values stay different, and values of one meaning become equal."""
    advised = 0
    for first, second in permutations(types, 2):
        if types[first].name == types[second].name:
            continue
        conversion = common_conversion(types[first], types[second])
        equal = [(group[first], group[second]) for group in MEANINGS if {first, second} <= group.keys()]
        if conversion is None:
            assert not equal, f"{first} and {second} have equal values, but no advice"
            continue
        advised += 1
        results = []
        for name, expression in ((first, conversion.first), (second, conversion.second)):
            literals = ", ".join(f"({literal(value)}::{name})" for value in VALUES[name])
            results.append(database.execute(
                f"SELECT min(pg_typeof(e)::text), count(*) FROM (SELECT DISTINCT {applied(expression, 'v')} AS e "
                f"FROM (VALUES {literals}) AS r (v)) AS d").fetchone())
        (first_type, first_count), (second_type, second_count) = results
        pair = f"{first} as {conversion.first} and {second} as {conversion.second}"
        assert BASE_TYPES.get(first_type, first_type) == BASE_TYPES.get(second_type, second_type), pair
        assert (first_count, second_count) == (len(VALUES[first]), len(VALUES[second])), pair
        for one, other in equal:
            left = applied(conversion.first, f"{literal(one)}::{first}")
            right = applied(conversion.second, f"{literal(other)}::{second}")
            assert database.execute(f"SELECT {left} IS NOT DISTINCT FROM {right}").fetchone() == (True,), pair
    assert advised > 800


def literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


@pytest.mark.parametrize(("first", "second"), [
    ("character(10)", "text"), ("date", "timestamptz"), ("integer", "numeric(6,2)"), ("boolean", "integer"),
    ("public.label", "public.other_label"), ("double precision", "numeric"), ("bigint", "real"), ("uuid", "text"),
    ("uuid", "bytea"), ("inet", "text"), ("json", "jsonb"), ("integer[]", "public.small[]"), ("bit(3)", "boolean"),
    ("int4range", "int8range"), ("public.pair", "public.other_pair"), ("timestamp", "timestamptz"),
])
@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("databases", [1, 2])
def test_advice_of_a_comparison_can_be_followed(
    new_database: Callable[..., str], connect: Any, first: str, second: str, swapped: bool, databases: int
) -> None:
    """The first row has values of one meaning, and the second one NULL against a value."""
    names = {"timestamptz": "timestamp with time zone", "timestamp": "timestamp without time zone",
             "numeric(6,2)": "numeric", "boolean": "boolean"}
    group = next(group for group in MEANINGS if {names.get(first, first), names.get(second, second)} <= group.keys())
    source = new_database()
    dsns = (source, new_database() if databases == 2 else source)
    kinds = (second, first) if swapped else (first, second)
    for dsn in dict.fromkeys(dsns):
        connect(dsn).execute(CREATE_TYPES)
    for dsn, table, kind in zip(dsns, ("old", "new"), kinds, strict=True):
        admin = connect(dsn)
        admin.execute(f"CREATE TABLE public.{table} (k integer, v {kind})")
        admin.execute(f"INSERT INTO public.{table} VALUES (1, {literal(group[names.get(kind, kind)])})")
    columns = {"source": "v", "target": "v"}
    with pytest.raises(CannotDecide, match=r"things\.v is ") as error:
        compare(mapping(columns), endpoints.two_databases(*dsns))
    advice = str(error.value).split(": ", 1)[1]
    for side in columns:
        if found := re.search(rf"in (?:things\.{side}|both), write ([^\s,]*…[^\s,]*(?: (?!and|in)\w+)*)", advice):
            columns[side] = applied(found[1], "v")
    assert columns != {"source": "v", "target": "v"}, advice
    assert [row.drift for row in compare(mapping(columns), endpoints.two_databases(*dsns)).tenant_rows] == [0]
    connect(dsns[1]).execute("UPDATE public.new SET v = NULL")
    assert [row.mismatched for row in compare(mapping(columns), endpoints.two_databases(*dsns)).tenant_rows] == [1]


def mapping(columns: dict[str, str]) -> MappingConfig:
    sides = {side: {"from": f"public.{table}", "columns": {"tenant_id": "'a'::text", "k": "k", "v": columns[side]}}
             for side, table in (("source", "old"), ("target", "new"))}
    return MappingConfig.model_validate({
        "version": 1, "scan": {"settle_seconds": 0, "rechecks": 0},
        "entities": {"things": {"key": ["k"], "compare": ["v"], **sides}}})
