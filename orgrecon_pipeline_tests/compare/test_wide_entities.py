"""Entities with hundreds of columns, up to the limit of the mapping, are compared like others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from pydantic import ValidationError

from orgrecon_pipeline.compare.engine import compare
from orgrecon_pipeline.compare.queries.row_hash import RowHash
from orgrecon_pipeline.domain.mapping.model import MAX_COLUMNS, MappingConfig
from orgrecon_pipeline_tests.support.compare import endpoints

# The width of a tuple, and the number of arguments of a function, are limits of PostgreSQL.
WIDTHS = [99, 100, 101, 500]
# Columns of different types are hashed by different expressions. Each is NULL in one row.
TYPES = {"text": "'x' || k", "integer": "k", "uuid": "md5(k::text)::uuid", "numeric": "k / 3.0", "boolean": "k = 1"}


def wide(compared: int, keys: int = 1) -> MappingConfig:
    """Return a mapping of ``public.old`` and ``public.new``, whose few columns are mapped many times."""
    types = list(TYPES)
    key = {f"key_{number}": "k" for number in range(keys)}
    values = {f"column_{number}": f"v{number % len(types)}" for number in range(compared)}
    columns = {"tenant_id": "t", **key, **values}
    return MappingConfig.model_validate({
        "version": 1, "scan": {"settle_seconds": 0, "rechecks": 1}, "report": {"sample_values": True},
        "entities": {"wide": {"key": list(key), "compare": list(values),
                              "source": {"from": "public.old", "columns": columns},
                              "target": {"from": "public.new", "columns": columns}}}})


def make_tables(source: psycopg.Connection[Any], target: psycopg.Connection[Any]) -> None:
    """Create a table on each side: key 1 is equal, 2 is missing, 3 is mismatched in one column, and 4 unexpected."""
    types = ", ".join(f"v{number} {kind}" for number, kind in enumerate(TYPES))
    values = ", ".join(f"CASE WHEN k <> {number} THEN {value} END" for number, value in enumerate(TYPES.values()))
    for admin, table, keys in ((source, "old", "1, 2, 3"), (target, "new", "1, 3, 4")):
        admin.execute(f"CREATE TABLE public.{table} (t text, k integer, {types})")
        admin.execute(f"INSERT INTO public.{table} SELECT 'a', k, {values} FROM unnest(ARRAY[{keys}]) AS k")
    target.execute("UPDATE public.new SET v0 = 'other' WHERE k = 3")


def assert_drift_is_found(dsns: tuple[str, str], mapping: MappingConfig, *, exact: bool) -> None:
    found = compare(mapping, endpoints.two_databases(*dsns), exact=exact)
    [row] = found.tenant_rows
    assert (row.missing, row.unexpected, row.mismatched, row.duplicate) == (1, 1, 1, 0)
    [mismatched] = [sample for sample in found.samples if sample.kind == "mismatched"]
    compared = mapping.entities["wide"].compare
    assert sorted(mismatched.columns) == sorted(compared[::len(TYPES)])
    assert set(found.values["wide"]) == set(compared)


@pytest.fixture(params=["one", "two"])
def dsns(request: pytest.FixtureRequest, new_database: Callable[..., str], connect: Any) -> tuple[str, str]:
    source = new_database()
    target = new_database() if request.param == "two" else source
    make_tables(connect(source), connect(target))
    return source, target


@pytest.mark.parametrize("exact", [False, True], ids=["fingerprints", "exact"])
@pytest.mark.parametrize("compared", WIDTHS)
def test_drift_in_a_wide_entity_is_found(dsns: tuple[str, str], compared: int, exact: bool) -> None:
    assert_drift_is_found(dsns, wide(compared), exact=exact)


@pytest.mark.parametrize("keys", [99, 100, 101])
def test_drift_in_an_entity_with_a_wide_key_is_found(dsns: tuple[str, str], keys: int) -> None:
    assert_drift_is_found(dsns, wide(10, keys), exact=False)


def test_drift_in_a_wide_entity_is_found_by_the_portable_hash(
    dsns: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orgrecon_pipeline.compare.engine.new_row_hash", lambda: RowHash(native=False, seed=7))
    assert_drift_is_found(dsns, wide(101), exact=False)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("keys", [1, 400, MAX_COLUMNS - 5])
def test_drift_in_an_entity_of_the_maximum_width_is_found(dsns: tuple[str, str], keys: int) -> None:
    for exact in (False, True):
        assert_drift_is_found(dsns, wide(MAX_COLUMNS - keys, keys), exact=exact)


def test_entity_beyond_the_maximum_width_is_refused_with_both_numbers() -> None:
    with pytest.raises(ValidationError, match=r"has 1,601 key and compared columns.*at most 1,600 at once: split it"):
        wide(MAX_COLUMNS)
