"""Keys that are equal but have different texts are the same key at every read, with either row hash."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from orgrecon_pipeline.compare import engine
from orgrecon_pipeline.compare.engine import compare
from orgrecon_pipeline.compare.queries.row_hash import RowHash
from orgrecon_pipeline.domain.mapping import MappingConfig
from orgrecon_pipeline_tests.support.compare.endpoints import one_database


@pytest.mark.parametrize("native", [True, False], ids=["native", "portable"])
@pytest.mark.parametrize(("kind", "one", "other"), [
    ("double precision", "0", "'-0'"), ("numeric", "1.0", "1.00"), ("interval", "'1 day'", "'24 hours'"),
    ("jsonb", "'1.0'", "'1.00'"),
])
def test_equal_keys_with_different_texts_are_one_key_at_every_read(
    empty_database: str, connect: Callable[[str], psycopg.Connection[Any]], monkeypatch: pytest.MonkeyPatch,
    native: bool, kind: str, one: str, other: str,
) -> None:
    monkeypatch.setattr(engine, "new_row_hash", lambda: RowHash(native=native, seed=7))
    admin = connect(empty_database)
    for side in ("old", "new"):
        admin.execute(f"CREATE TABLE public.{side} (t text, k {kind})")
    admin.execute(f"INSERT INTO public.new VALUES ('a', {one}), ('a', {other})")
    columns = {"tenant_id": "t", "k": "k"}
    mapping = MappingConfig.model_validate({
        "version": 1, "scan": {"settle_seconds": 0, "rechecks": 1},
        "entities": {"things": {"key": ["k"], "source": {"from": "public.old", "columns": columns},
                                "target": {"from": "public.new", "columns": columns}}}})

    def reverse_rows(seconds: float) -> None:
        """Store the same two rows in reverse order."""
        admin.execute("WITH deleted AS (DELETE FROM public.new WHERE ctid = (SELECT min(ctid) FROM public.new) "
                      "RETURNING *) INSERT INTO public.new SELECT * FROM deleted")

    comparison = compare(mapping, one_database(empty_database), wait=reverse_rows)
    things = comparison.totals["things"]
    assert (things.unexpected, things.transient, comparison.keys_in_flux) == (1, 0, 0)
