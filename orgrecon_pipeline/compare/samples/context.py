"""Context columns of drifting keys, which date a lost write. They are never compared and cannot change a verdict."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from orgrecon_pipeline.compare.queries.statements import EntityStatements
from orgrecon_pipeline.domain.canonical import MAX_NAME, bounded_name
from orgrecon_pipeline.domain.errors import CannotDecide
from orgrecon_pipeline.domain.mapping.model import SIDES
from orgrecon_pipeline.postgres.int8_arrays import int8_array
from orgrecon_pipeline.postgres.session import Session

# Distinct copies of a key whose context is shown.
_COPIES = 3

#: Text by context column.
Context = dict[str, "str | None"]


@dataclass(frozen=True)
class ContextResult:
    """Context by key hash, and the reasons of the sides that could not be read."""

    by_key: dict[int, Context]
    failures: dict[str, str] = field(default_factory=dict)


def read_context(
    sessions: Mapping[str, Session], statements: EntityStatements, tenants: Iterable[str], keys: Sequence[int]
) -> ContextResult:
    """Return the context of the given keys of some tenants, from the session of each side."""
    sides: dict[str, dict[int, Context]] = {}
    failures = {}
    tenants = sorted(tenants)
    for side in SIDES:
        if not (columns := statements.context_columns(side)):
            continue
        session = sessions[side]
        try:
            rows = session.query_aside(statements.side_context(side), "reading the context columns", {
                "tenants": session.encoding.expressible(tenants), "tracked_keys": int8_array(keys),
                "limit": _COPIES + 1})
        except CannotDecide as failure:
            failures[side] = str(failure)
            continue
        copies: dict[int, list[Sequence[str | None]]] = {}
        for row in rows:
            copies.setdefault(row["key_hash"], []).append(row["context"])
        sides[side] = {key: {name: text for name, text in _texts(statements, of_key).items() if name in columns}
                       for key, of_key in copies.items()}
    return ContextResult({key: _merge(statements.entity.show, sides, key) for key in keys}, failures)


def _texts(statements: EntityStatements, copies: Sequence[Sequence[str | None]]) -> Context:
    """Return the text of each context column in all copies of a key on one side."""
    columns = zip(*copies[:_COPIES], strict=True)
    more = len(copies) > _COPIES
    return {name: _joined(set(texts), more) for name, texts in zip(statements.entity.show, columns, strict=True)}


def _joined(texts: set[str | None], more: bool) -> str | None:
    if texts == {None} and not more:
        return None
    return bounded_name(" | ".join([*sorted(map(_cut, texts)), *(["…"] if more else [])]))


def _cut(text: str | None) -> str:
    if text is None:
        return "NULL"
    return text if len(text) <= MAX_NAME else f"{text[: MAX_NAME - 1]}…"


def _merge(names: Sequence[str], sides: Mapping[str, Mapping[int, Context]], key: int) -> Context:
    """Return the text of each context column of a key: of the side that has it, or of both where they differ."""
    merged: Context = {}
    for name in names:
        texts = [of_side[key][name] for of_side in sides.values() if name in of_side.get(key, ())]
        if len(set(texts)) > 1:
            merged[name] = " → ".join("NULL" if text is None else text for text in texts)
        else:
            merged[name] = texts[0] if texts else None
    return merged
