"""Plans of statements: their table scans, including those on the nodes of Citus, and their hash joins."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from orgrecon_pipeline.postgres.session import Session
from orgrecon_pipeline.postgres.sql_files import Statement

# Citus names the shards of a table after it.
_SHARD = re.compile(r"_\d+\Z")


# Nodes that scan and join tables. Of these, only hash joins keep rows in memory.
_JOINING = {"Append", "Bitmap Heap Scan", "Bitmap Index Scan", "BitmapAnd", "BitmapOr", "Hash", "Hash Join",
            "Index Only Scan", "Index Scan", "Result", "Seq Scan", "Subquery Scan"}
# What a row in a hash table has besides its columns.
_ROW_BYTES = 40


@dataclass(frozen=True)
class HashJoins:
    """Hash joins of a plan, by the planner's estimates.

    Attributes:
        table_bytes: size of the largest hash table.
        joined_bytes: upper limit of the temporary files if the joins are done in parts.
        processes: number of processes whose memory the largest hash table may use.
        nodes: all nodes of the plan, with their tables, in order.
    """

    table_bytes: int
    joined_bytes: int
    processes: int
    nodes: tuple[tuple[str, str | None], ...] = ()


@dataclass(frozen=True)
class TableScan:
    """Scan of a table in a plan. A shard has the name of its table.

    ``sequential`` says whether the whole table is read; ``rows`` is the planner's estimate of the result.
    """

    schema: str
    name: str
    sequential: bool
    rows: int


def explain(
    session: Session, statement: Statement, action: str, parameters: Mapping[str, Any] | None = None
) -> list[TableScan]:
    """Return the scans of tables in the plan of a statement, which is not executed.

    If it raises CannotDecide, the transaction stays usable.
    """
    settings = {"citus.explain_all_tasks": "on"} if session.citus_version else {}
    with session.planner_settings(settings):
        plan = _plan(session, statement, action, parameters)
    return [
        TableScan(node["Schema"], _SHARD.sub("", node["Relation Name"]) if remote else node["Relation Name"],
                  node["Node Type"] == "Seq Scan", node["Plan Rows"])
        for node, remote in _nodes(plan) if "Relation Name" in node]


def explain_hash_joins(
    session: Session, statement: Statement, action: str, parameters: Mapping[str, Any] | None = None
) -> HashJoins | None:
    """Return the hash joins below the first Append of the plan of a statement, which is not executed.

    Return None if there is no hash join, or if another node or a subquery in an expression needs memory for rows. If it
    raises CannotDecide, the transaction stays usable.
    """
    nodes = [node for node, _ in _nodes(_plan(session, statement, action, parameters))]
    workers = max((node.get("Workers Planned", 0) for node in nodes), default=0)
    below = [node for node, _ in _nodes(next((node for node in nodes if node["Node Type"] == "Append"), []))]
    tables = [node for node in below if node["Node Type"] == "Hash"]
    # The server repeats a subquery for each row, as in NOT IN, if its result does not fit the memory.
    if not tables or not all(node["Node Type"] in _JOINING and "Subplan Name" not in node for node in below):
        return None
    # The planner counts the rows of a parallel node for one process.
    largest = max(tables, key=lambda node: node["Plan Rows"] * node["Plan Width"])
    processes = 1 + workers if largest["Parallel Aware"] else 1
    return HashJoins(
        table_bytes=processes * largest["Plan Rows"] * (largest["Plan Width"] + _ROW_BYTES),
        joined_bytes=(1 + workers) * len(tables) * max(
            node["Plan Rows"] * (node["Plan Width"] + _ROW_BYTES) for node in below if "Relation Name" in node),
        processes=processes, nodes=tuple((node["Node Type"], node.get("Relation Name")) for node in nodes))


def _plan(session: Session, statement: Statement, action: str, parameters: Mapping[str, Any] | None) -> Any:
    query = sql.SQL("EXPLAIN (FORMAT JSON, VERBOSE) {}").format(statement)
    plan = session.query_aside(query, action, parameters)[0]["QUERY PLAN"]
    return json.loads(plan) if isinstance(plan, str) else plan


def _nodes(plan: Any, *, remote: bool = False) -> Iterator[tuple[dict[str, Any], bool]]:
    """Yield all nodes of a plan, and whether they are part of the plan of another server.

    Citus nests the plans of its nodes: Distributed Query, Job, Tasks, Remote Plan.
    """
    if isinstance(plan, list):
        for part in plan:
            yield from _nodes(part, remote=remote)
    elif isinstance(plan, dict):
        if "Node Type" in plan:
            yield plan, remote
        for name, part in plan.items():
            yield from _nodes(part, remote=remote or name == "Remote Plan")
