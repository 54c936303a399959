"""Links: a column of the source, and the column of the target that can hold the same value."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from orgrecon_pipeline.compare.types.lossless import EXPRESSION, Conversion, common_conversion
from orgrecon_pipeline.proposal.catalog.maps import MapTable
from orgrecon_pipeline.proposal.catalog.names import column_similarity, points_to, words
from orgrecon_pipeline.proposal.catalog.references import Reference, Side, Term, resolve, translate
from orgrecon_pipeline.proposal.catalog.tables import Column, Table

# Types whose values have no equality in PostgreSQL, or one that means something else.
_NO_EQUALITY = {"json", "xml", "point", "line", "lseg", "box", "path", "polygon", "circle"}
_MAX_ALTERNATIVES = 3
_FAMILIES = {
    **dict.fromkeys(("text", "character", "name", "uuid"), "text"), "json": "jsonb",
    **dict.fromkeys(("smallint", "integer", "bigint", "numeric", "real", "double precision"), "number"),
    **dict.fromkeys(("date", "timestamp without time zone", "timestamp with time zone"), "time")}
# Families of types whose values can say the same in other words, such as true and 'active'.
_TRANSLATABLE = ({"boolean", "text"}, {"boolean", "number"}, {"number", "text"})
#: Makes the values of any two types comparable.
AS_TEXT = Conversion(f"{EXPRESSION}::text", f"{EXPRESSION}::text")


@dataclass(frozen=True)
class Link:
    """A pair of terms, how alike they are (0 to 1), why they are linked, and how both become one type."""

    source: Term
    target: Term
    similarity: float
    why: str
    conversion: Conversion


@dataclass(frozen=True)
class Pair:
    """Two tables whose rows correspond, and the single terms of their keys; empty without such a key."""

    source: int
    target: int
    key: tuple[Term, Term] | tuple[()] = ()


@dataclass(frozen=True)
class Linker:
    """Finds links between the tables of two sides, also through pairs of tables that are known already.

    ``tenants`` are two tables of tenants whose rows correspond, if the references to them cannot be compared. ``maps``
    are the map tables of the target.
    """

    source: Side
    target: Side
    pairs: tuple[Pair, ...] = ()
    tenants: Pair | None = None
    maps: Mapping[int, Sequence[MapTable]] = field(default_factory=dict)

    @property
    def taken(self) -> set[int]:
        """Numbers of the tables that correspond to another one."""
        pairs = (*self.pairs, *((self.tenants,) if self.tenants else ()))
        return {number for pair in pairs for number in (pair.source, pair.target)}

    def tenant_link(self, source: Table, target: Table) -> Link | None:
        """Return how the tenants of two tables are linked; None if one has none, or nothing makes them comparable."""
        ours, theirs = self.source.tenant(source), self.target.tenant(target)
        if ours is None or theirs is None:
            return None
        for (table, key), (other, other_key) in self._tenant_tables():
            first = translate(self.source, source, ours, table, key)
            second = translate(self.target, target, theirs, other, other_key)
            if first and second and (conversion := self.conversion(source, first, target, second)):
                return Link(first, second, 1.0, f"by {key} and {other_key}", conversion)
        if conversion := self.conversion(source, ours, target, theirs):
            return Link(ours, theirs, 1.0, "", conversion)
        if not ours.hops:
            links = self.key_links(source, ours.column, target, alone=False)
            return next((link for link in links if link.target.hops), None)
        return None

    def other_tenant_links(self, source: Table, target: Table) -> Iterator[Link]:
        """Yield links of the tenants by their other identifiers, such as the slug to which ``tenant_id`` refers."""
        ours, theirs = self.source.tenant(source), self.target.tenant(target)
        if ours and theirs:
            terms = _identifiers(self.source, source, ours), _identifiers(self.target, target, theirs)
            for first, second in itertools.islice(itertools.product(*terms), 1, None):
                if conversion := self.conversion(source, first, target, second):
                    yield Link(first, second, 1.0, f"by {first.column} and {second.column}", conversion)

    def conversion(self, source: Table, first: Term, target: Table, second: Term) -> Conversion | None:
        """Return how the values of two terms become one type; None if that would lose something."""
        ours, theirs = resolve(self.source, source, first), resolve(self.target, target, second)
        return _conversion(ours, theirs)

    def _tenant_tables(self) -> Iterator[tuple[tuple[int, str], tuple[int, str]]]:
        """Yield the tables of tenants with their columns, source first; in one database also the other way round."""
        if self.tenants and self.tenants.key:
            first, second = (term.column for term in self.tenants.key)
            sides = (self.tenants.source, first), (self.tenants.target, second)
            yield sides
            if self.source is self.target:
                yield sides[::-1]

    def key_links(self, source: Table, column: str, target: Table, *, alone: bool) -> list[Link]:
        """Return the best links of a column of a source's key; ``alone`` if it is the whole key within a tenant."""
        # In a fresh copy, new identifiers can equal the old ones. They diverge later, so the old ones come first.
        links = [*self._old_identifiers(source, column, target), *self._mapped(source, column, target)] if alone else []
        links += [*self._direct(source, column, target), *self._through_pairs(source, column, target)]
        links.sort(key=lambda link: -link.similarity)
        return links[:_MAX_ALTERNATIVES]

    def column_links(self, source: Table, target: Table, *, used: Iterable[str] = ()) -> Iterator[Link]:
        """Yield every link between columns that are not in the key, also of columns that are only of the same type."""
        skipped = set(used)
        for column in source.columns:
            if column.name not in skipped:
                yield from self._direct(source, column.name, target)
                yield from self._through_pairs(source, column.name, target)
        for ours, theirs in itertools.product(source.columns, target.columns):
            if (ours.name not in skipped and _family(ours) == _family(theirs)
                    and not column_similarity(ours.name, source.name, theirs.name, target.name)
                    and (conversion := _conversion(ours, theirs))):
                yield Link(Term(ours.name), Term(theirs.name), 0.2, "of a comparable type", conversion)
        for ours, theirs in itertools.product(source.columns, target.columns):
            if ours.name not in skipped and {_family(ours), _family(theirs)} in _TRANSLATABLE:
                yield Link(Term(ours.name), Term(theirs.name), 0.1, "of other types", AS_TEXT)

    def _direct(self, source: Table, column: str, target: Table) -> Iterator[Link]:
        for other in target.columns:
            similarity = column_similarity(column, source.name, other.name, target.name)
            if similarity and (conversion := _conversion(source.by_name[column], other)):
                why = "same name" if similarity == 1 else "similar name"
                yield Link(Term(column), Term(other.name), similarity, why, conversion)

    def _old_identifiers(self, source: Table, column: str, target: Table) -> Iterator[Link]:
        similarities = {"named": 1.0, "old": 1.0, "plain": 0.65}
        for other in target.columns:
            kind = points_to(other.name, source.name)
            if kind == "plain" and not _is_key(target, other.name, self.target):
                continue
            if kind and (conversion := _conversion(source.by_name[column], other)):
                why = f"named like an identifier of {source.label}" if kind != "old" else "named like an old identifier"
                yield Link(Term(column), Term(other.name), similarities[kind], why, conversion)

    def _mapped(self, source: Table, column: str, target: Table) -> Iterator[Link]:
        """Yield links to the old identifiers that map tables hold for the rows of the target."""
        for map_table in self.maps.get(target.id, ()):
            conversion = self.conversion(source, Term(column), target, map_table.term)
            if conversion and map_table.is_about(source):
                yield Link(Term(column), map_table.term, 1.0, f"through {map_table.table.label}", conversion)

    def _through_pairs(self, source: Table, column: str, target: Table) -> Iterator[Link]:
        """Yield links of references to two tables whose rows correspond."""
        for pair in self.pairs:
            if not pair.key:
                continue
            ours = [r for r in self.source.references.get(source.id, ())
                    if r.hop.table == pair.source and r.column == column]
            theirs = [r for r in self.target.references.get(target.id, ()) if r.hop.table == pair.target]
            for first, second in itertools.product(ours, theirs):
                terms = _through(first, pair.key[0]), _through(second, pair.key[1])
                if terms[1].hops and (conversion := self.conversion(source, terms[0], target, terms[1])):
                    similarity = 0.97 if len(theirs) == 1 or _same_role(first, second, source, target) else 0.6
                    yield Link(*terms, similarity, "both refer to rows that correspond", conversion)


def _through(reference: Reference, key: Term) -> Term:
    if key == Term(reference.referenced):
        return Term(reference.column)
    return Term(key.column, (reference.hop, *key.hops))


def _identifiers(side: Side, table: Table, term: Term) -> Iterator[Term]:
    """Yield the term of a tenant, and those for other unique texts of the table to which it refers."""
    yield term
    holder = side.catalog.tables[term.hops[-1].table] if term.hops else table
    for reference in side.references.get(holder.id, ()):
        if reference.column == term.column:
            other = side.catalog.tables[reference.hop.table]
            for [name] in (key for key in other.keys if len(key) == 1):
                if name != reference.referenced and _family(other.by_name[name]) == "text":
                    yield Term(name, (*term.hops, reference.hop))


def _same_role(first: Reference, second: Reference, source: Table, target: Table) -> bool:
    """Return whether two references have the same role, as a parent has, among several to one table."""
    own = first.hop.table == source.id, second.hop.table == target.id
    if all(own):
        return True
    return words(first.column)[:1] == words(second.column)[:1] and not any(own)


def _conversion(first: Column, second: Column) -> Conversion | None:
    if first.type.name == second.type.name:
        same = f"{EXPRESSION}::text" if first.type.name in _NO_EQUALITY else EXPRESSION
        return Conversion(same, same)
    return common_conversion(first.type, second.type)


def _family(column: Column) -> str:
    """Return a word for the types that can hold the same values."""
    return "text" if column.type.kind == "e" else _FAMILIES.get(column.type.name, column.type.name)


def _is_key(table: Table, column: str, side: Side) -> bool:
    tenants = set(side.tenant_columns(table))
    return any(set(key) - tenants == {column} for key in table.keys)
