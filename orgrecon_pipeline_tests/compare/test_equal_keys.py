"""Keys that are equal but have different texts are never transient because they are written in another way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from orgrecon_pipeline.compare import engine
from orgrecon_pipeline.compare.engine import compare
from orgrecon_pipeline.compare.queries.row_hash import RowHash
from orgrecon_pipeline.compare.result import Comparison
from orgrecon_pipeline.domain.mapping.model import MappingConfig
from orgrecon_pipeline_tests.support.compare.endpoints import one_database, two_databases

# Types whose equal values can be written differently, with two such values.
_SPELLINGS = {
    "double precision": ("0", "-0"), "real": ("0", "-0"), "numeric": ("1.0", "1.00"), "interval": ("1 day", "24 hours"),
    "character(3)": ("a", "a "), "jsonb": ("1.0", "1.00"), "numeric[]": ("{1.0}", "{1.00}"),
    "double precision[]": ("{0}", "{-0}"), "interval[]": ("{1 day}", "{24 hours}"), "jsonb[]": ("{1.0}", "{1.00}"),
    "numrange": ("[1.0,2.0]", "[1.00,2.00]"), "public.pair": ("(1.0,a)", "(1.00,a)"),
    "public.citext": ("a", "A"), "public.citext[]": ("{a}", "{A}"), "public.amount": ("{1.0}", "{1.00}"),
}
_NEW_TYPES = """
    CREATE EXTENSION citext SCHEMA public;
    CREATE TYPE public.pair AS (n numeric, c text);
    CREATE DOMAIN public.amount AS numeric[]"""

Connect = Callable[[str], psycopg.Connection[Any]]


def mapping(*compared: str, rechecks: int = 1) -> MappingConfig:
    columns = {"tenant_id": "t", "k": "k", **{name: name for name in compared}}
    return MappingConfig.model_validate({
        "version": 1, "scan": {"settle_seconds": 0, "rechecks": rechecks},
        "entities": {"things": {"key": ["k"], "compare": list(compared),
                                "source": {"from": "public.old", "columns": columns},
                                "target": {"from": "public.new", "columns": columns}}}})


@pytest.mark.parametrize("native", [True, False], ids=["native", "portable"])
@pytest.mark.parametrize(("kind", "one", "other"), [
    ("double precision", "0", "'-0'"), ("numeric", "1.0", "1.00"), ("interval", "'1 day'", "'24 hours'"),
    ("jsonb", "'1.0'", "'1.00'"),
])
def test_equal_keys_with_different_texts_are_one_key_at_every_read(
    empty_database: str, connect: Connect, monkeypatch: pytest.MonkeyPatch,
    native: bool, kind: str, one: str, other: str,
) -> None:
    monkeypatch.setattr(engine, "new_row_hash", lambda: RowHash(native=native, seed=7))
    admin = connect(empty_database)
    for side in ("old", "new"):
        admin.execute(f"CREATE TABLE public.{side} (t text, k {kind})")
    admin.execute(f"INSERT INTO public.new VALUES ('a', {one}), ('a', {other})")

    def reverse_rows(seconds: float) -> None:
        """Store the same two rows in reverse order."""
        admin.execute("WITH deleted AS (DELETE FROM public.new WHERE ctid = (SELECT min(ctid) FROM public.new) "
                      "RETURNING *) INSERT INTO public.new SELECT * FROM deleted")

    comparison = compare(mapping(), one_database(empty_database), wait=reverse_rows)
    things = comparison.totals["things"]
    assert (things.unexpected, things.transient, comparison.keys_in_flux) == (1, 0, 0)


class _Sides:
    """Both sides, in one database or in two. The key of tenant ``a`` is missing in the target; other rows are equal."""

    def __init__(self, new_database: Callable[..., str], connect: Connect, databases: int, kind: str) -> None:
        self._dsns = [new_database() for _ in range(databases)]
        self._connections = [connect(dsn) for dsn in self._dsns]
        for connection in self._connections:
            connection.execute(_NEW_TYPES)
        self.old, self.new = self._connections[0], self._connections[-1]
        self._one, self._other = _SPELLINGS[kind]
        for connection, table in ((self.old, "old"), (self.new, "new")):
            connection.execute(f"CREATE TABLE public.{table} (t text, k {kind}, v int)")
            connection.execute(f"INSERT INTO public.{table} VALUES ('b', '{self._one}', 1)")
        self._is_first = True
        self.old.execute(f"INSERT INTO public.old VALUES ('a', '{self._one}', 1)")

    def rewrite(self, seconds: float = 0) -> None:
        """Write the key of the source in the other way."""
        self._is_first = not self._is_first
        self.old.execute(f"UPDATE public.old SET k = '{self._one if self._is_first else self._other}' WHERE t = 'a'")

    def compare(self, wait: Callable[[float], None], *, exact: bool = False) -> Comparison:
        return compare(mapping("v"), two_databases(self._dsns[0], self._dsns[-1]), exact=exact, wait=wait)


@pytest.fixture(params=[1, 2], ids=["one database", "two databases"])
def sides(
    request: pytest.FixtureRequest, new_database: Callable[..., str], connect: Connect
) -> Callable[[str], _Sides]:
    return lambda kind: _Sides(new_database, connect, request.param, kind)


@pytest.mark.parametrize("kind", _SPELLINGS)
def test_missing_key_that_is_written_differently_once_is_drift(sides: Callable[[str], _Sides], kind: str) -> None:
    rows, waits = sides(kind), []

    def wait(seconds: float) -> None:
        if not waits:
            rows.rewrite()
        waits.append(seconds)

    comparison = rows.compare(wait)
    things = comparison.totals["things"]
    assert (things.missing, things.transient, comparison.keys_in_flux) == (1, 0, 0)
    assert [key.kinds for key in comparison.keys] == [("missing",)]


@pytest.mark.parametrize("exact", [False, True], ids=["fingerprints", "exact"])
@pytest.mark.parametrize("kind", ["jsonb", "public.citext"])
def test_missing_key_that_is_always_written_differently_is_no_transient_key(
    sides: Callable[[str], _Sides], kind: str, exact: bool
) -> None:
    rows = sides(kind)
    comparison = rows.compare(rows.rewrite, exact=exact)
    things = comparison.totals["things"]
    assert (things.missing, things.transient, comparison.keys_in_flux) == (0, 0, 1)


@pytest.mark.parametrize(("later", "missing", "transient"), [
    # The key settles while another begins to drift: it may have become that one, which then settles too, or does not.
    (["INSERT INTO public.new VALUES ('a', '1.0', 1)", "INSERT INTO public.new VALUES ('a', '2', 1)"], 0, 1),
    (["INSERT INTO public.new VALUES ('a', '1.0', 1)"], 1, 0),
    # The key still drifts, so it has not become the other one.
    ([], 1, 0),
], ids=["both settle", "one settles", "none settles"])
def test_key_that_begins_to_drift_counts_only_if_a_tracked_key_may_have_become_it(
    sides: Callable[[str], _Sides], later: list[str], missing: int, transient: int
) -> None:
    rows, writes = sides("jsonb"), iter(later)
    begin = iter(["INSERT INTO public.old VALUES ('a', '2', 1)"])

    def wait(seconds: float) -> None:
        for connection, statements in ((rows.old, begin), (rows.new, writes)):
            if statement := next(statements, None):
                connection.execute(statement)

    comparison = rows.compare(wait)
    things = comparison.totals["things"]
    assert (things.missing, things.transient, comparison.keys_in_flux) == (missing, transient, 0)


def test_key_that_is_already_confirmed_is_not_in_flux_when_another_settles(sides: Callable[[str], _Sides]) -> None:
    """Key 1.0 is written differently in the first round, and settles in the second. Key 2 drifts all the time."""
    rows = sides("jsonb")
    rows.old.execute("INSERT INTO public.old VALUES ('a', '2', 1)")
    steps = iter([
        (rows.old, "UPDATE public.old SET k = '1.00' WHERE k = '1' AND t = 'a'"),
        (rows.new, "INSERT INTO public.new VALUES ('a', '1.00', 1)")])

    def wait(seconds: float) -> None:
        connection, statement = next(steps)
        connection.execute(statement)

    comparison = rows.compare(wait)
    things = comparison.totals["things"]
    assert (things.missing, things.transient, comparison.keys_in_flux) == (1, 1, 0)
