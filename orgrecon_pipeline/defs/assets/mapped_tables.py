"""The mapped tables as external assets, so that a company's assets connect to ours in the lineage graph.

The code location loads without a database. So the tables are those that the SQL of the mapping names: a view is shown
as itself, and what a function reads is not known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import dagster as dg

from orgrecon_pipeline.defs.names import ComponentNames
from orgrecon_pipeline.domain.errors import ConfigurationError
from orgrecon_pipeline.domain.mapping.model import SIDES, MappingConfig

if TYPE_CHECKING:
    from sqlglot.expressions import Expr

TableName = tuple[str, ...]


@dataclass(frozen=True)
class MappedTable:
    """A table that the mapping names, and the side of the comparison that reads it."""

    side: str
    name: TableName

    def __str__(self) -> str:
        """``public.teams``, as messages and the field ``upstream`` name it."""
        return ".".join(self.name)


def mapped_tables(mapping: MappingConfig) -> list[MappedTable]:
    """Return the tables of both sides and of the declared universe, in the order of the file."""
    texts: list[tuple[str, str]] = [("source", mapping.tenants.from_)] if mapping.tenants else []
    texts += [(side, relation.from_) for entity in mapping.entities.values()
              for side in SIDES for relation in getattr(entity, side)]
    return list(dict.fromkeys(MappedTable(side, name) for side, text in texts for name in tables_in(text)))


def upstream_specs(
    names: ComponentNames, mapping: MappingConfig, keys: Mapping[str, dg.AssetKey], group: str
) -> tuple[list[dg.AssetKey], list[dg.AssetSpec]]:
    """Return the keys upstream of ``tenant_drift``, and an external asset for each table without a key of its own.

    ``keys`` gives a table the key of an asset that a company has already: that asset is not defined again.

    Raises:
        ConfigurationError: if a name in ``keys`` is not a table of the mapping.
    """
    tables = mapped_tables(mapping)
    if unknown := sorted(keys.keys() - {str(table) for table in tables}):
        raise ConfigurationError(
            f"upstream: {unknown[0]} is not a table of the mapping: use {', '.join(sorted(map(str, tables)))}.")
    upstream = {table: keys.get(str(table)) or dg.AssetKey([*names.prefix, table.side, *table.name])
                for table in tables}
    specs = [
        dg.AssetSpec(
            key, group_name=group, kinds={"postgres", "table"},
            description=f"Table {table}, the {table.side} of a migration. Compared by tenant_drift, never written.",
            metadata={"dagster/table_name": str(table)},
        )
        for table, key in upstream.items() if str(table) not in keys]
    return list(dict.fromkeys(upstream.values())), specs


@lru_cache(maxsize=256)
def tables_in(from_sql: str) -> Sequence[TableName]:
    """Return the tables that a FROM clause names, each once; none if its SQL cannot be read.

    Names are folded to lower case unless they are quoted, as PostgreSQL does.
    """
    import sqlglot  # slow to import
    from sqlglot.errors import SqlglotError

    try:
        statements = sqlglot.parse(f"SELECT FROM {from_sql}", dialect="postgres")
    except (SqlglotError, RecursionError):
        return ()
    if len(statements) != 1 or statements[0] is None:
        return ()
    return tuple(dict.fromkeys(_named(statements[0])))


def _named(tree: Expr) -> Iterator[TableName]:
    from sqlglot import exp
    from sqlglot.optimizer.scope import traverse_scope

    for scope in traverse_scope(tree):
        for source in scope.sources.values():
            # A name of WITH refers to a scope, and a function in FROM to an expression.
            if isinstance(source, exp.Table) and isinstance(source.this, exp.Identifier):
                yield tuple(part.name if part.args.get("quoted") else part.name.lower() for part in source.parts)
