"""SQL of a proposed side: the joins of its terms, its expressions and its condition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from orgrecon_pipeline.compare.types.lossless import EXPRESSION
from orgrecon_pipeline.proposal.catalog.deleted import COLUMN
from orgrecon_pipeline.proposal.catalog.references import Hop, Side, Term
from orgrecon_pipeline.proposal.catalog.tables import Table

#: The expression of the tenant if a table has none: one group for all rows.
NO_TENANT = "'all'::text"


@dataclass(frozen=True)
class RelationSql:
    """What a mapping says about one relation. ``sample`` is the text after which a sample clause may follow."""

    from_: str
    columns: Mapping[str, str]
    where: str | None
    sample: str

    def sampled(self, method: str, percent: float) -> str:
        """Return the FROM clause that reads a sample of the first table, with a sampling method of PostgreSQL."""
        sample = f"TABLESAMPLE {method} ({percent:.6f}) REPEATABLE (0)"
        return f"{self.sample} {sample}{self.from_[len(self.sample):]}"


def write_relation(
    side: Side, table: Table, terms: Mapping[str, tuple[Term, str] | None], where: tuple[Term, str] | None
) -> RelationSql:
    """Return the SQL of a relation.

    Args:
        side: the side of the table.
        table: its first table.
        terms: by logical name, a term and the expression that converts it; None for a tenant that does not exist.
        where: a term, and a condition with :data:`COLUMN` in it.
    """
    joins: dict[tuple[Hop, ...], str] = {}
    for term, _ in filter(None, (*terms.values(), where)):
        for length in range(1, len(term.hops) + 1):
            joins.setdefault(term.hops[:length], f"j{len(joins) + 1}")
    alias = "t" if joins else ""
    first = f"{table.quoted} {alias}".strip()
    from_ = first
    for hops, name in joins.items():
        here = joins.get(hops[:-1], "t")
        holder = side.catalog.tables[hops[-2].table] if len(hops) > 1 else table
        other = side.catalog.tables[hops[-1].table]
        conditions = " AND ".join(
            f"{name}.{other.by_name[theirs].quoted} = {here}.{holder.by_name[ours].quoted}"
            for ours, theirs in hops[-1].columns)
        # An inner join could hide rows that refer to nothing.
        kind = "JOIN" if all(hop.certain for hop in hops) else "LEFT JOIN"
        from_ += f" {kind} {other.quoted} {name} ON {conditions}"

    def expression(term: Term) -> str:
        holder = side.catalog.tables[term.hops[-1].table] if term.hops else table
        quoted = holder.by_name[term.column].quoted
        prefix = joins[term.hops] if term.hops else alias
        return f"{prefix}.{quoted}" if prefix else quoted

    def converted(term: Term, conversion: str) -> str:
        return conversion.replace(EXPRESSION, expression(term) if conversion == EXPRESSION else f"({expression(term)})")

    columns = {name: NO_TENANT if given is None else converted(*given) for name, given in terms.items()}
    condition = where[1].replace(COLUMN, expression(where[0])) if where else None
    return RelationSql(from_, columns, condition, first)
