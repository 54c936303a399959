"""Two tables of tenants whose identifiers differ, and the unique columns by which their rows correspond."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from orgrecon_pipeline.proposal.catalog.references import Side, Term
from orgrecon_pipeline.proposal.catalog.tables import Table
from orgrecon_pipeline.proposal.links import AS_TEXT, Link, Pair
from orgrecon_pipeline.proposal.sample.draft import Draft, Measures

# Share of the tenants of each side that the other one must have.
_MIN_RATE = 0.8
# A database with a schema for each customer can have thousands of pairs of such tables.
_MAX_MEASURED = 200


def find_tenants(sides: tuple[Side, Side], measures: Measures) -> Pair | None:
    """Return two tables of tenants, and the names or codes by which their rows correspond.

    None if there are no two such tables, or their rows have the same identifiers.
    """
    for draft in itertools.islice(_drafts(sides), _MAX_MEASURED):
        measurement = measures.measure(draft)
        if (measurement.rate or 0) >= _MIN_RATE and measurement.columns:
            same = (measurement.columns[0].share or 0) >= _MIN_RATE
            [key] = draft.key
            return None if same else Pair(draft.source.id, draft.target.id, (key.source, key.target))
    return None


def _drafts(sides: tuple[Side, Side]) -> Iterator[Draft]:
    """Yield the drafts whose keys are names or codes; in one database, each two tables in one direction only."""
    first, second = (side.tenant_tables for side in sides)
    pairs = itertools.combinations(first, 2) if sides[0] is sides[1] else itertools.product(first, second)
    for source, target in pairs:
        for ours, theirs in itertools.product(_names(source), _names(target)):
            key = Link(Term(ours), Term(theirs), 1.0, "", AS_TEXT)
            identifiers = Link(Term(source.keys[0][0]), Term(target.keys[0][0]), 1.0, "", AS_TEXT)
            yield Draft(source, target, None, (key,), (identifiers,))


def _names(table: Table) -> list[str]:
    """Return the columns of text, or of UUIDs, that identify a tenant."""
    return [key[0] for key in table.keys if len(key) == 1 and table.by_name[key[0]].type.name in ("text", "uuid")]
