"""A batch of a repair gives way to a migration, behind which the readers of the application would wait."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from orgrecon_pipeline_tests.support.operations.concurrency import InBackground, wait_until
from orgrecon_pipeline_tests.support.repair.scenario import MakeTables

# The insert waits in its constraint while another session holds the advisory lock.
TABLES = """
    CREATE FUNCTION passes() RETURNS boolean LANGUAGE plpgsql AS $$
    BEGIN PERFORM pg_advisory_xact_lock_shared(4711); RETURN true; END $$;
    CREATE TABLE s (tenant_id text, k int, v text);
    CREATE TABLE t (tenant_id text, k int, v text, CHECK (passes()));
    INSERT INTO s VALUES ('a', 1, 'x');
"""
WAITING = "SELECT 1 FROM pg_locks WHERE NOT granted AND locktype = %s"


@pytest.mark.parametrize("migration", ["ALTER TABLE public.s ADD COLUMN w int", "VACUUM FULL public.t"])
def test_batch_for_which_a_migration_waits_is_rolled_back_and_can_run_again(
    make_tables: MakeTables, connect: Callable[[str], psycopg.Connection[Any]], empty_database: str, migration: str
) -> None:
    tables = make_tables(TABLES)
    sql = tables.repair_sql()
    holder, other = connect(empty_database), connect(empty_database)
    holder.execute("SELECT pg_advisory_lock(4711)")
    repairing = InBackground(lambda: tables.apply(sql))
    wait_until(lambda: holder.execute(WAITING, ("advisory",)).fetchone())
    migrating = InBackground(lambda: other.execute(migration))
    wait_until(lambda: holder.execute(WAITING, ("relation",)).fetchone())
    holder.execute("SELECT pg_advisory_unlock(4711)")
    with pytest.raises(psycopg.errors.RaiseException, match="a migration, waits for this batch, which was rolled back"):
        repairing.result()
    migrating.result()
    assert tables.query("SELECT * FROM t") == []
    tables.repair()
    assert tables.query("SELECT k FROM t") == [(1,)]
