"""An expression of the mapping that fails is named with its entity, side and column, whatever the error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from orgrecon_pipeline.compare.engine import compare
from orgrecon_pipeline.domain.errors import CannotDecide
from orgrecon_pipeline.domain.mapping.model import MappingConfig
from orgrecon_pipeline_tests.support.compare import endpoints

#: Expression of column ``broken`` on the target, that of the same column on the source, and a part of the message.
COLUMNS = [
    ("words::integer", "zero", "a value cannot be read as the type to which the mapping casts it"),
    ("1 / zero", "zero", "division by zero"),
    ("(zero + 70000)::smallint", "zero::smallint", "a number is out of the range of its type; cast to a wider type"),
    ("words::date", "NULL::date", "a value cannot be read as a date or time"),
    ("date '5000000-01-01' + zero + interval '1 day'", "NULL::timestamp", "a date or time is out of the range"),
    ("words || chr(zero)", "words", "the statement exceeds a limit of the server"),
    ("convert_from(bytes, 'UTF8')", "words", "the data contains text that is not valid UTF-8"),
    ("nowhere", "zero", 'a column does not exist (column "nowhere" does not exist)'),
    ("doc", "doc", "could not identify an equality operator for type json"),
    ("doc::integer", "zero", "the server has no cast between these types (cannot cast type json to integer)"),
    ("zero + words", "zero", "operator does not exist: integer + text"),
    ("unknown_function(zero)", "zero", "function unknown_function(integer) does not exist"),
]
CREATE = """CREATE TABLE public.{} (t text, k integer, words text, zero integer, doc json, bytes bytea)"""
INSERT = r"INSERT INTO public.{} VALUES ('a', 1, 'secret value', 0, '{{}}', '\xff')"


@pytest.fixture(params=["one", "two"])
def dsns(request: pytest.FixtureRequest, new_database: Callable[..., str], connect: Any) -> tuple[str, str]:
    source = new_database()
    target = new_database() if request.param == "two" else source
    for dsn, table in ((source, "old"), (target, "new")):
        for statement in (CREATE, INSERT):
            connect(dsn).execute(statement.format(table))
    return source, target


def error(dsns: tuple[str, str], source: str, target: str | list[str], where: str = "true") -> str:
    def side(table: str, value: str) -> dict[str, Any]:
        columns = {"tenant_id": "t", "k": "k", "first": "words", "broken": value, "last": "zero"}
        return {"from": f"public.{table}", "columns": columns, "where": where if table == "new" else None}

    targets = [side("new", value) for value in ([target] if isinstance(target, str) else target)]
    mapping = MappingConfig.model_validate({
        "version": 1, "scan": {"settle_seconds": 0, "rechecks": 0},
        "entities": {"things": {"key": ["k"], "compare": ["first", "broken", "last"], "source": side("old", source),
                                "target": targets}}})
    with pytest.raises(CannotDecide) as raised:
        compare(mapping, endpoints.two_databases(*dsns))
    return str(raised.value)


@pytest.mark.parametrize(("expression", "source", "message"), COLUMNS)
def test_failing_expression_is_named_with_its_column(
    dsns: tuple[str, str], expression: str, source: str, message: str
) -> None:
    text = error(dsns, source, expression)
    side = "source" if source == expression else "target"
    assert text.startswith(f"things.{side}, column broken: "), text
    assert message in text
    assert "secret" not in text
    assert "\n" not in text


def test_failing_expression_is_named_with_its_relation(dsns: tuple[str, str]) -> None:
    assert error(dsns, "zero", ["zero", "1 / zero"]) == "things.target.1, column broken: division by zero"


@pytest.mark.parametrize("condition", ["1 / zero = 1", "nowhere = 1"])
def test_failing_condition_is_named(dsns: tuple[str, str], condition: str) -> None:
    assert error(dsns, "zero", "zero", condition).startswith("things.target, from or where: ")
