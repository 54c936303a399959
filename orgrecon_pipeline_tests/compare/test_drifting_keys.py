"""Every drifting key is read with its kinds and differing columns, and spooled up to a limit."""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from orgrecon_pipeline.compare.engine import compare
from orgrecon_pipeline.compare.keys.key_spool import KeySpool
from orgrecon_pipeline.compare.result import Comparison
from orgrecon_pipeline.domain.drift.key import DriftingKey
from orgrecon_pipeline.domain.mapping.model import MappingConfig
from orgrecon_pipeline_tests.support.compare import endpoints

MISSING, MISMATCHED = ("missing",), ("mismatched",)


def mapping(key: str, *compared: str, tables: tuple[str, ...] = ("",), **report: Any) -> MappingConfig:
    names = ["t", *key.split(), *compared]
    columns = {"tenant_id": "t", **{name: name for name in names[1:]}}
    return MappingConfig.model_validate({
        "version": 1, "scan": {"settle_seconds": 0, "rechecks": 1}, "report": report,
        "entities": {f"things{table}": {
            "key": key.split(), "compare": list(compared),
            "source": {"from": f"public.old{table}", "columns": columns},
            "target": {"from": f"public.new{table}", "columns": columns}} for table in tables}})


def fill(connection: psycopg.Connection[Any], columns: str, source: str, target: str, suffix: str = "") -> None:
    """Create the tables of both sides; each row set is a list of VALUES, empty for none."""
    for table, rows in ((f"old{suffix}", source), (f"new{suffix}", target)):
        connection.execute(f"CREATE TABLE public.{table} ({columns})")
        if rows:
            connection.execute(f"INSERT INTO public.{table} VALUES {rows}")


def keys(comparison: Comparison) -> set[tuple[Any, ...]]:
    return {(key.tenant, key.key, key.kinds, key.columns) for key in comparison.keys}


@pytest.fixture
def database(new_database: Callable[..., str], connect: Any) -> tuple[str, psycopg.Connection[Any]]:
    dsn = new_database()
    return dsn, connect(dsn)


@pytest.mark.parametrize("exact", [False, True], ids=["fingerprints", "exact"])
def test_kept_key_names_its_kinds_and_differing_columns(
    database: tuple[str, psycopg.Connection[Any]], exact: bool
) -> None:
    dsn, connection = database
    fill(connection, "t text, b bigint, a text, x int, y text",
         "('one', 1, 'k', 1, 'p'), ('one', 2, 'k', 1, 'p'), ('one', 3, 'k', 1, NULL), ('two', 4, 'k', 1, 'p'), "
         "('two', 4, 'k', 1, 'p'), ('two', 5, 'k', 1, 'p'), ('two', 5, 'k', 2, 'q')",
         "('one', 2, 'k', 2, 'q'), ('one', 3, 'k', 1, 'p'), ('one', 6, 'k', 1, 'p'), ('two', 4, 'k', 3, 'p'), "
         "('two', 5, 'k', 1, 'q'), ('two', 5, 'k', 2, 'p')")
    comparison = compare(mapping("b a", "x", "y"), endpoints.one_database(dsn), exact=exact)
    # The key is in the order of the names of its columns, not of the mapping.
    assert keys(comparison) == {
        ("one", ("k", "1"), MISSING, ()),
        ("one", ("k", "2"), MISMATCHED, ("x", "y")),
        ("one", ("k", "3"), MISMATCHED, ("y",)),
        ("one", ("k", "6"), ("unexpected",), ()),
        ("two", ("k", "4"), ("duplicate", "mismatched"), ("x",)),
        # Each column has the same values on both sides, but in other rows.
        ("two", ("k", "5"), MISMATCHED, ("x", "y")),
    }
    assert comparison.keys.facts() == {
        "keys": {"things": {"drifting": 6, "left_out": 0}},
        "mismatched_columns": {"things": {"x": 3, "y": 3}},
    }


def test_equal_values_with_different_texts_are_one_key_without_a_differing_column(
    database: tuple[str, psycopg.Connection[Any]],
) -> None:
    dsn, connection = database
    fill(connection, "t numeric, k jsonb, n numeric, j jsonb, v text",
         """(1.0, '{"a": 1.0}', 2.0, '[1.0]', 'old'), (1.0, '2.0', 1, '1', 'x'), (1, '7', 1, '1.0', 'x')""",
         """(1.00, '{"a": 1.00}', 2.00, '[1.00]', 'new'), (1.00, '3.0', 1, '1', 'x'), (1, '7', 1, '1.00', 'y')""")
    comparison = compare(mapping("k", "n", "j", "v", sample_values=True), endpoints.one_database(dsn))
    assert keys(comparison) == {
        ("1", ('{"a": 1.00}',), MISMATCHED, ("v",)), ("1", ("7",), MISMATCHED, ("v",)), ("1", ("2.0",), MISSING, ()),
        ("1", ("3.0",), ("unexpected",), ())}
    # A key that is written differently on each side is shown without values.
    assert {sample.key["k"]: sample.values for sample in comparison.samples if sample.columns} == {
        '{"a": 1.00}': None, "7": {"v": ("x", "y")}}


def test_numeric_key_has_the_same_text_whatever_its_scale(database: tuple[str, psycopg.Connection[Any]]) -> None:
    """A key must be recognised on the next day."""
    dsn, connection = database
    fill(connection, "t text, k numeric", "('one', 7.00)", "('one', 8.0)")
    comparison = compare(mapping("k"), endpoints.one_database(dsn))
    assert {key.key for key in comparison.keys} == {("7",), ("8",)}
    assert {sample.key["k"] for sample in comparison.samples} == {"7", "8"}


def test_large_entity_does_not_displace_the_keys_of_a_small_one(
    database: tuple[str, psycopg.Connection[Any]],
) -> None:
    dsn, connection = database
    fill(connection, "t text, k int", ", ".join(f"('one', {n})" for n in range(30)), "", "_a")
    fill(connection, "t text, k int", "('one', 1), ('one', 2)", "", "_b")
    comparison = compare(mapping("k", tables=("_a", "_b"), keep_keys=5), endpoints.one_database(dsn))
    assert comparison.keys.kept == {"things_a": 3, "things_b": 2}
    assert comparison.keys.facts()["keys"] == {
        "things_a": {"drifting": 30, "left_out": 27}, "things_b": {"drifting": 2, "left_out": 0}}
    assert not comparison.keys.complete
    assert len(list(comparison.keys)) == 5


def test_samples_do_not_depend_on_the_kept_keys(database: tuple[str, psycopg.Connection[Any]]) -> None:
    dsn, connection = database
    fill(connection, "t text, k int, v text", ", ".join(f"('{t}', {n}, 'x')" for t in "ab" for n in range(1_500)),
         ", ".join(f"('a', {n}, 'y')" for n in range(1_500)))
    samples = [compare(mapping("k", "v", keep_keys=limit, sample_keys=3, sample_values=True),
                       endpoints.one_database(dsn)).samples for limit in (0, 10_000)]
    assert samples[0] == samples[1]
    assert [(s.tenant, s.kind, s.key["k"], s.values) for s in samples[0]] == [
        *(("a", "mismatched", k, {"v": ("x", "y")}) for k in ("0", "1", "10")),
        *(("b", "missing", k, None) for k in ("0", "1", "10"))]


@pytest.mark.parametrize("of_target", ["", "&options=-cjit%3Doff"], ids=["one database", "two databases"])
def test_samples_show_the_values_of_all_copies_in_differing_columns(
    database: tuple[str, psycopg.Connection[Any]], of_target: str
) -> None:
    dsn, connection = database
    fill(connection, "t text, k int, x int, y numeric, z jsonb",
         "('a', 1, NULL, 1.0, '1'), ('a', 2, 1, 1, '1'), ('a', 2, 1, 1, '1'), ('a', 3, 1, 1, '1'), "
         "('a', 4, 1, 1, '1'), ('a', 4, 2, 2, '1')",
         "('a', 1, 7, 1.00, '1'), ('a', 2, 1, 1, '1'), ('a', 2, NULL, 1, '2'), ('a', 5, 1, 1, '1'), "
         "('a', 4, 1, 2, '1'), ('a', 4, 2, 1, '1')")
    both = endpoints.two_databases(dsn, dsn + of_target)
    samples = compare(mapping("k", "x", "y", "z", sample_values=True), both).samples
    assert [(s.key["k"], s.kind.value, s.columns, s.values) for s in samples] == [
        ("1", "mismatched", ("x",), {"x": (None, "7")}),
        ("2", "mismatched", ("x", "z"), {"x": ("1 | 1", "1 | NULL"), "z": ("1 | 1", "1 | 2")}),
        ("3", "missing", (), None),
        ("4", "mismatched", ("x", "y", "z"), None),  # only the combinations differ
        ("5", "unexpected", (), None)]


def some_keys(count: int) -> list[DriftingKey]:
    return [DriftingKey(f"tenant {n} \u2028é", "things", (str(n),), MISMATCHED, ("x",)) for n in range(count)]


@pytest.mark.parametrize("count", [0, 1, 999, 1_000, 1_001, 2_500])
def test_spool_returns_every_key_each_time_it_is_read(count: int) -> None:
    spool = KeySpool(10_000)
    for key in some_keys(count):  # one by one, or all together
        spool.add([key])
    together = KeySpool(10_000)
    together.add(some_keys(count))
    assert list(together) == some_keys(count)
    assert together.facts() == spool.facts()
    assert [list(spool), list(spool)] == [some_keys(count)] * 2
    assert KeySpool.of(list(spool)).facts() == KeySpool.merged([spool], count).facts() == spool.facts()


@pytest.mark.parametrize("limit", [0, 1, 1_000, 1_700, 2_500])
def test_spool_keeps_the_first_keys_and_counts_all(limit: int) -> None:
    spool = KeySpool(limit)
    for start in range(0, 2_500, 700):
        spool.add(some_keys(2_500)[start : start + 700])
    assert list(spool) == some_keys(2_500)[:limit]
    assert spool.facts()["keys"] == {"things": {"drifting": 2_500, "left_out": 2_500 - limit}}


def test_spool_without_disk_space_still_counts_all_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    spool = KeySpool(10_000)
    spool.add(some_keys(2_500))
    assert list(spool) == []
    assert spool.facts()["keys"] == {"things": {"drifting": 2_500, "left_out": 2_500}}
    assert spool.facts()["mismatched_columns"] == {"things": {"x": 2_500}}
