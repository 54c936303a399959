"""Map tables: tables that only say which new identifier belongs to which old one, as ``person_id_map`` does."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from orgrecon_pipeline.proposal.catalog.names import old_identifier, points_to, words
from orgrecon_pipeline.proposal.catalog.references import Hop, Side, Term
from orgrecon_pipeline.proposal.catalog.tables import Table

_MAP_ENDINGS = ("map", "mapping", "xref", "crosswalk", "translation", "migration")


@dataclass(frozen=True)
class MapTable:
    """A table that holds, for each row of another one, an identifier of a third one in ``column``.

    ``hop`` leads from the other table to it. ``refers_to`` is the number of the third one if a foreign key names it.
    """

    table: Table
    hop: Hop
    column: str
    refers_to: int | None

    @property
    def term(self) -> Term:
        """The identifier, seen from the other table."""
        return Term(self.column, (self.hop,))

    @property
    def is_named(self) -> bool:
        """Whether a name says what the table is for: ``user_wallet`` also has two identifiers, but of unlike rows."""
        return (any(word.endswith(_MAP_ENDINGS) for word in words(self.table.name))
                or old_identifier(self.column) is not None)

    def is_about(self, table: Table) -> bool:
        """Return whether its identifiers are those of a table."""
        if self.refers_to is not None:
            return self.refers_to == table.id
        return points_to(self.column, table.name) in ("named", "plain")


def find_maps(side: Side) -> Mapping[int, list[MapTable]]:
    """Return the map tables of a side by the table to whose rows they add an identifier."""
    maps = defaultdict(list)
    for table in side.originals:
        columns = {key[0] for key in table.keys if len(key) == 1}
        # The first reference of a column is the best.
        references = {reference.column: reference for reference in reversed(side.references[table.id])}
        for here in sorted(columns & references.keys()):
            for there in sorted(columns - {here}):
                other = references.get(there)
                hop = Hop(table.id, ((references[here].referenced, here),), certain=False)
                maps[references[here].hop.table].append(MapTable(
                    table, hop, there, other.hop.table if other else None))
    return maps
