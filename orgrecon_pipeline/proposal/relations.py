"""What the references between tables say about pairs: which table is the source, and which pair is about details."""

from __future__ import annotations

from collections.abc import Sequence

from orgrecon_pipeline.proposal.candidates import Candidate
from orgrecon_pipeline.proposal.catalog.references import Side
from orgrecon_pipeline.proposal.catalog.tables import Table


def direction_like(sides: tuple[Side, Side], candidate: Candidate, accepted: Sequence[Candidate]) -> int:
    """Return the direction of a candidate that accepted pairs imply: 1, -1 if the reverse, 0 if they say nothing."""
    if candidate.source.schema == candidate.target.schema:
        return int(any(_alike(sides, candidate, pair) for pair in accepted))
    for pair in accepted:
        schemas = pair.source.schema, pair.target.schema
        if schemas == (candidate.source.schema, candidate.target.schema):
            return 1
        if schemas == (candidate.target.schema, candidate.source.schema):
            return -1
    return 0


def _alike(sides: tuple[Side, Side], candidate: Candidate, pair: Candidate) -> bool:
    """Return whether the source belongs to the source of an accepted pair, and the target does not."""
    if _refers(sides[0], candidate.source, pair.source):
        # Tables of the new model can refer to the old one too, such as for who made a row.
        return (_refers(sides[1], candidate.target, pair.target)
                or not _refers(sides[1], candidate.target, pair.source))
    return _refers(sides[0], pair.source, candidate.source) and _refers(sides[1], pair.target, candidate.target)


def is_detail(sides: tuple[Side, Side], first: Candidate, second: Candidate) -> bool:
    """Return whether two candidates share a table, and the other table of the first refers to that of the second.

    So does a log or a profile, whose rows can also correspond to those of the new table.
    """
    if first.target is second.target:
        return _depends(sides[0], first.source, second.source)
    return first.source is second.source and _depends(sides[1], first.target, second.target)


def _depends(side: Side, table: Table, other: Table) -> bool:
    return _refers(side, table, other) and not _refers(side, other, table)


def _refers(side: Side, table: Table, other: Table) -> bool:
    return any(reference.hop.table == other.id for reference in side.references[table.id])
