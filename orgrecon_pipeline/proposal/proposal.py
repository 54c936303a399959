"""The proposal: what the mapping file says, with the reason of each guess and all that is left out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from orgrecon_pipeline.domain.mapping.model import TENANT_COLUMN
from orgrecon_pipeline.proposal.catalog.references import Side, resolve
from orgrecon_pipeline.proposal.catalog.tables import Table, printable
from orgrecon_pipeline.proposal.columns import LeftOutColumn
from orgrecon_pipeline.proposal.links import Link
from orgrecon_pipeline.proposal.sample.draft import Draft
from orgrecon_pipeline.proposal.sample.write import RelationSql
from orgrecon_pipeline.proposal.search import Evaluated, SearchResult

_SLUG = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True)
class ProposedEntity:
    """An entity of the file.

    Attributes:
        remarks: remark for a person by logical column.
        notes: further remarks about the entity, such as a guessed condition.
        left_out: columns that are not compared, with the reason.
    """

    name: str
    source_table: str
    target_table: str
    confidence: str
    reason: str
    key: tuple[str, ...]
    compare: tuple[str, ...]
    source: RelationSql
    target: RelationSql
    remarks: dict[str, str]
    notes: tuple[str, ...]
    left_out: tuple[LeftOutColumn, ...]


@dataclass(frozen=True)
class OpenEntity:
    """A pair that a person must decide, with the guess as far as there is one."""

    name: str
    source_table: str
    target_table: str
    reason: str
    guess: ProposedEntity | None


@dataclass(frozen=True)
class LeftOutTable:
    """A table that is not compared, and why."""

    table: str
    reason: str


@dataclass(frozen=True)
class Proposal:
    """Everything that the file says. ``tenants`` is the table of declared tenants and its column."""

    entities: tuple[ProposedEntity, ...]
    open: tuple[OpenEntity, ...]
    left_out: tuple[LeftOutTable, ...]
    tenants: tuple[str, str, str] | None = None
    migration: str | None = None

    def as_json_value(self) -> dict[str, Any]:
        """Return the proposal as JSON values."""
        return {
            "migration": self.migration,
            "tenants": {"from": self.tenants[0], "tenant": self.tenants[1]} if self.tenants else None,
            "entities": [_entity_value(entity) for entity in self.entities],
            "todo": [{"entity": todo.name, "source": todo.source_table, "target": todo.target_table,
                      "reason": todo.reason} for todo in self.open],
            "not_compared": [asdict(table) for table in self.left_out],
        }


def make_proposal(sides: tuple[Side, Side], result: SearchResult, tenants: tuple[str, str, str] | None = None,
                  migration: str | None = None) -> Proposal:
    """Return the proposal with the pairs of a search."""
    names = _Names()
    entities = tuple(_propose(sides, pair, pair.draft, names(pair.candidate.target.name))
                     for pair in result.accepted if pair.draft)
    open_ = tuple(_open(sides, pair, names(pair.candidate.target.name)) for pair in result.open)
    used = {table for pair in (*result.accepted, *result.open) for table in pair.tables}
    return Proposal(entities, open_, tuple(_left_out(sides, used, result.not_chosen)), tenants, migration)


def _propose(sides: tuple[Side, Side], pair: Evaluated, draft: Draft, name: str) -> ProposedEntity:
    names = _Names((TENANT_COLUMN,))
    key = {names(link.source.own_column): link for link in draft.key}
    compared = {names(column.link.source.own_column): column for column in pair.columns.compared}
    links: dict[str, Link | None] = {TENANT_COLUMN: draft.tenant, **key,
                                     **{name: column.link for name, column in compared.items()}}
    source, target = draft.write(sides, links)
    remarks = {name: f"key: {_key_remark(sides, draft, link)}" for name, link in key.items()}
    remarks |= {name: column.remark for name, column in compared.items() if column.remark}
    if remark := _tenant_remark(sides, draft):
        remarks[TENANT_COLUMN] = remark
    return ProposedEntity(
        name, draft.source.label, draft.target.label, pair.judgement.confidence.value, pair.judgement.reason,
        tuple(key), tuple(compared), source, target, remarks, tuple(_notes(draft, source, target)),
        pair.columns.left_out)


def _tenant_remark(sides: tuple[Side, Side], draft: Draft) -> str:
    """Return what a person should know about the tenant; empty if it is plain."""
    if draft.tenant is None:
        names = [f"{side}.{name}" for side, name in zip(("source", "target"), draft.own_tenants, strict=True) if name]
        if len(names) == 2:
            return (f"nothing says which tenants of {' and '.join(map(printable, names))} correspond, so that all rows "
                    "are compared as one tenant")
        return ("no tenant column on both sides, so that all rows are compared as one tenant; to name one, run init "
                "with --tenant-column")
    owners = sorted({printable(owner.column) for side, table in zip(sides, (draft.source, draft.target), strict=True)
                     if (owner := side.owners.get(table.schema))})
    taken = [f"most tables refer to one table with {' and '.join(owners)}: taken for the tenant"] if owners else []
    return "; ".join([*taken, *([printable(draft.tenant.why)] if draft.tenant.why else [])])


def _key_remark(sides: tuple[Side, Side], draft: Draft, link: Link) -> str:
    nullable = resolve(sides[1], draft.target, link.target).nullable or any(not hop.certain for hop in link.target.hops)
    return f"{link.why}{'; a row with NULL here makes the day INCONCLUSIVE' if nullable else ''}"


def _notes(draft: Draft, source: RelationSql, target: RelationSql) -> Iterable[str]:
    for side, relation, deleted in (("source", source, draft.source_deleted), ("target", target, draft.target_deleted)):
        if relation.where and deleted:
            evidence = f": {deleted.evidence}" if deleted.evidence else ""
            yield (f"Guess: the {side} leaves out rows that are marked as deleted{evidence}. Remove its where if the "
                   "mark means something else.")
    if (source.where is None) != (target.where is None):
        yield "Only one side marks deleted rows, so the other side must not have them."
    if draft.source.kind == "v" or draft.target.kind == "v":
        yield "A view is compared: rows that it leaves out are not."


def _open(sides: tuple[Side, Side], pair: Evaluated, name: str) -> OpenEntity:
    guess = _propose(sides, pair, pair.draft, name) if pair.draft else None
    candidate = pair.candidate
    return OpenEntity(name, candidate.source.label, candidate.target.label, pair.judgement.reason, guess)


def _left_out(sides: tuple[Side, Side], used: set[int], not_chosen: Mapping[int, str]) -> Iterable[LeftOutTable]:
    tables: dict[int, Table] = {**sides[0].catalog.tables, **sides[1].catalog.tables}
    for table in tables.values():
        if table.id not in used:
            side = "" if sides[0] is sides[1] else "source: " if table.id in sides[0].catalog.tables else "target: "
            copy = sides[table.id not in sides[0].catalog.tables].copies.get(table.id)
            reason = (f"{copy}: if it is not, name it with --pair" if copy
                      else not_chosen.get(table.id, "no counterpart was found"))
            yield LeftOutTable(f"{side}{table.label}", table.obstacle or reason)


def _entity_value(entity: ProposedEntity) -> dict[str, Any]:
    return {
        "entity": entity.name, "source": entity.source_table, "target": entity.target_table,
        "confidence": entity.confidence, "reason": entity.reason, "key": list(entity.key),
        "compare": list(entity.compare), "remarks": entity.remarks, "notes": list(entity.notes),
        "where": {"source": entity.source.where, "target": entity.target.where},
        "not_compared": [asdict(column) for column in entity.left_out]}


class _Names:
    """Makes identifiers of a mapping from names, each of them once."""

    def __init__(self, used: Sequence[str] = ()) -> None:
        self._used = set(used)

    def __call__(self, name: str) -> str:
        base = _SLUG.sub("_", name.lower()).strip("_")[:50]
        base = base if base and not base[0].isdigit() else f"c_{base}".rstrip("_")
        number, unique = 1, base
        while unique in self._used:
            number += 1
            unique = f"{base}_{number}"
        self._used.add(unique)
        return unique
