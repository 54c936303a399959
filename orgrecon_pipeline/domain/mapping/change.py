"""Changes of the mapping between two compared days, by name, from what their records say was compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from enum import Enum
from typing import Any

from pydantic import Field

from orgrecon_pipeline.domain.canonical import bounded_text, canonical_json
from orgrecon_pipeline.domain.evidence import Frozen
from orgrecon_pipeline.domain.mapping.model import SIDES, MappingConfig

# A mapping with longer SQL, or a larger one, is stored in part or not at all: it is in every record.
_MAX_SQL, _MAX_MAPPING = 2_000, 200_000
_MAX_CHANGES = 200

# SQL with a connection string could hold a password, so only its digest is stored.
_SECRETIVE = ("password", "://", "dblink", "host=")

class ChangeCode(str, Enum):
    """What changed in a mapping."""

    ENTITY_ADDED = "entity_added"
    ENTITY_REMOVED = "entity_removed"
    KEY_CHANGED = "key_changed"
    COLUMN_ADDED = "column_added"
    COLUMN_REMOVED = "column_removed"
    COLUMN_CHANGED = "column_changed"
    FROM_CHANGED = "from_changed"
    WHERE_ADDED = "where_added"
    WHERE_REMOVED = "where_removed"
    WHERE_CHANGED = "where_changed"
    RELATION_ADDED = "relation_added"
    RELATION_REMOVED = "relation_removed"
    TENANTS_ADDED = "tenants_added"
    TENANTS_REMOVED = "tenants_removed"
    TENANTS_CHANGED = "tenants_changed"
    SHARD_ADDED = "shard_added"
    SHARD_REMOVED = "shard_removed"
    COMPARISON_CHANGED = "comparison_changed"
    MORE_CHANGES = "more_changes"
    UNKNOWN = "unknown"


class Difference(Frozen):
    """One change of a mapping."""

    code: ChangeCode = Field(description="What changed (see Mapping changes).")
    entity: str | None = Field(None, description="Name of the entity; null if it does not apply.")
    side: str | None = Field(None, description="source or target; null if it does not apply.")
    name: str | None = Field(None, description="Name of the column, field or shard; null if it does not apply.")
    before: str | None = Field(None, description="Value before the change; null if it does not apply.")
    after: str | None = Field(None, description="Value after the change; null if it does not apply.")
    narrows: bool = Field(False, description="Whether fewer rows or columns are compared than before.")
    text: str = Field(description="Sentence that people read. It may be worded differently in later versions.")


class MappingChange(Frozen):
    """The changes of the mapping since an earlier day that was compared under another one."""

    since: date = Field(description="The earlier day.")
    changes: tuple[Difference, ...] = Field(min_length=1, description="What changed.")


def stored_mapping(mapping: MappingConfig) -> dict[str, Any] | None:
    """Return the normalised mapping as a record stores it; None if it is too large."""
    stored: dict[str, Any] = _bounded(mapping.normalised)
    return stored if len(canonical_json(stored)) <= _MAX_MAPPING else None


def mapping_changes(before: Any, after: Any) -> list[Difference]:
    """Return what changed between two stored mappings with different digests, at least one change."""
    if before is None or after is None:
        return [Difference(code=ChangeCode.UNKNOWN, text="the earlier evidence does not say what was compared")]
    changes = [*_tenants(before["tenants"], after["tenants"]), *_entities(before["entities"], after["entities"]),
               *_shards(set(before["shards"]), set(after["shards"]))]
    if not changes:
        text = "the same mapping is compared by another version of the comparison"
        return [Difference(code=ChangeCode.COMPARISON_CHANGED, text=text)]
    if len(changes) > _MAX_CHANGES:
        more = len(changes) - _MAX_CHANGES
        changes = [*changes[:_MAX_CHANGES], Difference(code=ChangeCode.MORE_CHANGES, text=f"and {more} more changes")]
    return changes


def _bounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _bounded(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_bounded(inner) for inner in value]
    if isinstance(value, str):
        hidden = any(word in value.lower() for word in _SECRETIVE)
        return bounded_text(value, 0 if hidden else _MAX_SQL)
    return value


def _tenants(before: Any, after: Any) -> Iterator[Difference]:
    universe = "the declared universe"
    if before and not after:
        yield Difference(code=ChangeCode.TENANTS_REMOVED, text=f"{universe} was removed", before=before["from"],
                         narrows=True)
    elif after and not before:
        yield Difference(code=ChangeCode.TENANTS_ADDED, text=f"{universe} was added", after=after["from"])
    elif before != after:
        for name in sorted(before):
            if before[name] != after[name]:
                yield Difference(code=ChangeCode.TENANTS_CHANGED, text=f"{universe}: {name} changed", name=name,
                                 before=before[name], after=after[name],
                                 narrows=name == "where" and before[name] is None)


def _shards(before: set[str], after: set[str]) -> Iterator[Difference]:
    for name in sorted(before - after):
        yield Difference(code=ChangeCode.SHARD_REMOVED, text=f"shard {name} is no longer compared", name=name,
                         narrows=True)
    for name in sorted(after - before):
        yield Difference(code=ChangeCode.SHARD_ADDED, text=f"shard {name} is now compared", name=name)


def _entities(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Difference]:
    for name in sorted({*before, *after}):
        if name not in after:
            yield Difference(code=ChangeCode.ENTITY_REMOVED, entity=name, text=f"{name} is no longer compared",
                             narrows=True)
        elif name not in before:
            yield Difference(code=ChangeCode.ENTITY_ADDED, text=f"{name} is now compared", entity=name)
        else:
            yield from _entity(name, before[name], after[name])


def _entity(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Difference]:
    if before["key"] != after["key"]:
        yield Difference(code=ChangeCode.KEY_CHANGED, text=f"{name}: the key changed", entity=name,
                         before=", ".join(before["key"]), after=", ".join(after["key"]))
    for column in sorted(set(before["compare"]) - set(after["compare"])):
        yield Difference(code=ChangeCode.COLUMN_REMOVED, entity=name, name=column, narrows=True,
                         text=f"{name}: compare was narrowed: {column} is no longer compared")
    for column in sorted(set(after["compare"]) - set(before["compare"])):
        yield Difference(code=ChangeCode.COLUMN_ADDED, text=f"{name}: {column} is now compared", entity=name,
                         name=column)
    for side in SIDES:
        yield from _side(name, side, before[side], after[side])


def _side(entity: str, side: str, before: list[Any], after: list[Any]) -> Iterator[Difference]:
    gone = [relation for relation in before if relation not in after]
    new = [relation for relation in after if relation not in before]
    for old, relation in _pairs(gone, new):
        if old is None:
            yield Difference(code=ChangeCode.RELATION_ADDED, text=f"{entity}.{side}: a relation is now read",
                             entity=entity, side=side, after=relation["from"])
        elif relation is None:
            yield Difference(code=ChangeCode.RELATION_REMOVED, text=f"{entity}.{side}: a relation is no longer read",
                             entity=entity, side=side, before=old["from"], narrows=True)
        else:
            yield from _relation(entity, side, old, relation)


def _pairs(gone: list[Any], new: list[Any]) -> Iterator[tuple[Any, Any]]:
    """Yield relations with what replaces them: the one with the same ``from``, or the only one left. Consume both."""
    for relation in list(gone):
        same = next((other for other in new if other["from"] == relation["from"]), None)
        if same is not None:
            gone.remove(relation)
            new.remove(same)
            yield relation, same
    if len(gone) == len(new) == 1:
        yield gone.pop(), new.pop()
    yield from ((relation, None) for relation in gone)
    yield from ((None, relation) for relation in new)


def _relation(entity: str, side: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Difference]:
    at = f"{entity}.{side}"
    if before["from"] != after["from"]:
        yield Difference(code=ChangeCode.FROM_CHANGED, text=f"{at}: from changed", entity=entity, side=side,
                         before=before["from"], after=after["from"])
    old, new = before["where"], after["where"]
    if old != new:
        code, verb = ((ChangeCode.WHERE_ADDED, "was added") if old is None else
                      (ChangeCode.WHERE_REMOVED, "was removed") if new is None else
                      (ChangeCode.WHERE_CHANGED, "changed"))
        yield Difference(code=code, text=f"{at}: where {verb}", entity=entity, side=side, before=old, after=new,
                         narrows=old is None)
    for column in sorted(before["columns"].keys() & after["columns"].keys()):
        if before["columns"][column] != after["columns"][column]:
            yield Difference(code=ChangeCode.COLUMN_CHANGED, text=f"{at}: the expression of {column} changed",
                             entity=entity, side=side, name=column, before=before["columns"][column],
                             after=after["columns"][column])
