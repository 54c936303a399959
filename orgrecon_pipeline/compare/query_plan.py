"""Table scans in the plans of statements, including those on the nodes of Citus."""

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
    query = sql.SQL("EXPLAIN (FORMAT JSON, VERBOSE) {}").format(statement)
    settings = {"citus.explain_all_tasks": "on"} if session.citus_version else {}
    with session.planner_settings(settings):
        plan = session.query_aside(query, action, parameters)[0]["QUERY PLAN"]
    return [
        TableScan(node["Schema"], _SHARD.sub("", node["Relation Name"]) if remote else node["Relation Name"],
                  node["Node Type"] == "Seq Scan", node["Plan Rows"])
        for node, remote in _nodes(json.loads(plan) if isinstance(plan, str) else plan) if "Relation Name" in node]


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
