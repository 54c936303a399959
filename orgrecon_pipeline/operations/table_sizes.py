"""Inputs for predicting the duration of a comparison: the sizes of its tables, and the last comparison."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from orgrecon_pipeline.compare.queries.statements import EntityStatements
from orgrecon_pipeline.compare.query_plan import TableScan, explain
from orgrecon_pipeline.domain.duration import EarlierComparison, SideRead
from orgrecon_pipeline.domain.evidence import COMPARED
from orgrecon_pipeline.domain.mapping.model import MappingConfig
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline.postgres.session import Session

_JOIN = re.compile(r"\bjoin\b|,", re.IGNORECASE)


@dataclass
class SizeCollector:
    """Collector of what each side of an entity reads. ``unknown`` names the tables without statistics."""

    sides: list[SideRead] = field(default_factory=list)
    unknown: set[str] = field(default_factory=set)

    def add(self, other: SizeCollector) -> None:
        """Add what another collector has."""
        self.sides += other.sides
        self.unknown |= other.unknown

    def set_digest(self, name: str) -> None:
        """Set the row hash with which everything is read."""
        self.sides = [replace(side, digest=name) for side in self.sides]

    def measure(
        self, session: Session, statements: EntityStatements, side: str,
        size_of: Mapping[tuple[str, str], Mapping[str, Any]],
    ) -> None:
        """Add one side of an entity; ``size_of`` has the size of each table by schema and name."""
        with session.planner_settings({"max_parallel_workers_per_gather": "0"}):  # else these are the rows of a worker
            scans = explain(session, statements.side(side), statements.name)
        read = {(scan.schema, scan.name) for scan in scans} & size_of.keys()
        self.unknown |= {".".join(name) for name in read if not size_of[name]["analysed"]}
        joined = any(_JOIN.search(relation.from_) for relation in getattr(statements.entity, side))
        self.sides.append(SideRead(
            rows=_rows_of_join(scans) if joined else sum(scan.rows for scan in scans),
            bytes=sum(size_of[name]["bytes"] for name in read), joined=joined, digest=statements.row_hash.name))


def _rows_of_join(scans: Sequence[TableScan]) -> int:
    """Return the rows of the largest table, but at least half of all rows.

    The planner's estimate of a join can be far too low. A table that is partitioned or distributed has a scan for each
    part, so the largest scan can be too low, too.
    """
    rows = [scan.rows for scan in scans]
    return max(max(rows, default=0), sum(rows) // 2)


def last_comparison(ledger: Ledger, mapping: MappingConfig, *, exact: bool = False) -> EarlierComparison | None:
    """Return the last completed comparison; None if it compared another mapping, or differs in ``exact``."""
    last = ledger.latest(COMPARED, completed_only=True)
    if last is None or last.mapping_digest != mapping.digest or bool(last.compared.get("exact")) is not exact:
        return None
    return EarlierComparison.of(last.compared, last.rows_compared)
