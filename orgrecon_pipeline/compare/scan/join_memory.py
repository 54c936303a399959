"""Memory for the hash joins of a scan: so little that each part of a large hash table fits a processor's caches."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from orgrecon_pipeline.compare.query_plan import HashJoins, explain_hash_joins
from orgrecon_pipeline.domain.errors import CannotDecide
from orgrecon_pipeline.postgres.session import Session
from orgrecon_pipeline.postgres.sql_files import Statement, load_sql

# A hash table of this size exceeds the caches that most processors have for one core.
_LARGE_TABLE = 8 * 2**20
# Memory of each process. They share one part of a hash table at a time, which should fit the caches.
_SMALL = 2**20
# Each part has a temporary file in each process.
_MAX_PARTS = 32
# More could fill a disk, or keep it busy.
_MAX_TEMPORARY = 2 * 2**30
# With less memory, the planner would prefer to merge tables in the order of their indexes, row by row.
_KEEP_PLAN = {"enable_mergejoin": "off"}
# What the server keeps for each tenant while it sums the row hashes.
_TENANT_BYTES = 256


def join_settings(
    session: Session, statement: Statement, action: str, parameters: Mapping[str, Any], tenants: int
) -> dict[str, str]:
    """Return the settings with which a scan of so many tenants joins large tables in parts; none for another scan."""
    if not tenants:
        return {}
    explain = partial(explain_hash_joins, session, statement, action, parameters)
    try:
        joins = explain()
        memory = joins and choose_memory(joins, tenants)
        if not joins or not memory or session.query(load_sql("compare/sql/temp_file_limit.sql"), action)[0]["limited"]:
            return {}
        settings = {"work_mem": f"{memory // 1024}kB", "hash_mem_multiplier": "1", **_KEEP_PLAN}
        with session.planner_settings(settings):
            same_plan = (again := explain()) is not None and again.nodes == joins.nodes
    except CannotDecide:  # if the scan fails, too, it says why
        return {}
    return settings if same_plan else {}


def choose_memory(joins: HashJoins, tenants: int) -> int | None:
    """Return the bytes for each process with which hash joins in parts take less time; None if they do not."""
    if joins.table_bytes < _LARGE_TABLE or joins.joined_bytes > _MAX_TEMPORARY:
        return None
    memory = max(_SMALL, tenants * _TENANT_BYTES, joins.table_bytes // joins.processes // _MAX_PARTS)
    return memory if 2 * memory * joins.processes <= joins.table_bytes else None
