"""The declared tenants: a table of the source that lists every tenant of the sampled rows."""

from __future__ import annotations

from orgrecon_pipeline.proposal.catalog.names import tenant_table_rank
from orgrecon_pipeline.proposal.catalog.references import Side, Term
from orgrecon_pipeline.proposal.catalog.tables import Table
from orgrecon_pipeline.proposal.links import AS_TEXT, Link
from orgrecon_pipeline.proposal.sample.draft import Draft, Measures
from orgrecon_pipeline.proposal.search import SearchResult


def declared_tenants(side: Side, result: SearchResult, measures: Measures) -> tuple[str, str, str] | None:
    """Return a table in SQL, its column and a remark, if it lists all tenants of a sample of each entity.

    ``side`` is the source, and ``measures`` look up its keys in its own tables.
    """
    tenants = [(pair.draft.source, pair.draft.tenant.source) for pair in result.accepted
               if pair.draft and pair.draft.tenant]
    # In one database, the target can have tenants of its own.
    referred = {hop.table for _, term in tenants for hop in term.hops[-1:]}
    tables = sorted(side.tenant_tables, key=lambda table: (
        table.id not in referred, tenant_table_rank(table.name) or 0))
    if not tenants or len(tenants) < len(result.accepted):
        return None
    for table in tables:
        keys = [key[0] for key in table.keys if len(key) == 1]
        for column in keys:
            if _lists_all(table, column, tenants, measures):
                return table.quoted, table.by_name[column].quoted, (
                    f"The tenants that should exist: {table.label} has every tenant of the sampled rows.")
    return None


def _lists_all(table: Table, column: str, tenants: list[tuple[Table, Term]], measures: Measures) -> bool:
    for source, term in tenants:
        if source is table:
            continue
        link = Link(term, Term(column), 1.0, "", AS_TEXT)
        measurement = measures.measure(Draft(source, table, None, (link,)))
        if not measurement.sampled or measurement.matched < measurement.sampled:
            return False
    return True
