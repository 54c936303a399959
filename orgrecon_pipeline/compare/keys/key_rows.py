"""Drifting keys with their texts, kinds and differing columns, from a stream of their rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter

from orgrecon_pipeline.compare.keys.key_streams import kinds_of
from orgrecon_pipeline.compare.queries.statements import EntityStatements
from orgrecon_pipeline.compare.scan.merge_join import Row, out_of_order
from orgrecon_pipeline.domain.canonical import bounded_name
from orgrecon_pipeline.domain.drift.key import DriftingKey
from orgrecon_pipeline.domain.drift.kinds import DriftKind

#: The full name of the tenant, the hash of the key, and the key.
KeyWithHash = tuple[str, int, DriftingKey]

# The compared values of each copy of a key on one side, as numbers.
_Copies = Sequence[list[int | None]]

_MISSING, _UNEXPECTED, _MISMATCHED = ((kind.value,) for kind in (
    DriftKind.MISSING, DriftKind.UNEXPECTED, DriftKind.MISMATCHED))


def keys_of_rows(statements: EntityStatements, rows: Iterable[Row]) -> Iterator[KeyWithHash]:
    """Yield the keys in the rows of ``key_rows.sql`` of both sides, in the order of their hashes."""
    names = statements.entity.key
    by_name = sorted(range(len(names)), key=names.__getitem__)
    last = None
    for key_hash, of_key in groupby(rows, itemgetter(0)):
        if last is not None and key_hash < last:
            raise out_of_order()
        last = key_hash
        source: list[list[int | None]] = []
        target: list[list[int | None]] = []
        shown: tuple[str, Sequence[str]] | None = None
        for _, on_source, tenant, key, values in of_key:
            (source if on_source else target).append(values)
            # Equal keys of some types, such as jsonb, can be written differently.
            if shown is None or (tenant, key) < shown:
                shown = tenant, key
        assert shown is not None  # noqa: S101 - a group has at least one row
        if kinds := _kinds(source, target):
            columns = _differing(statements.entity.compare, source, target) if DriftKind.MISMATCHED in kinds else ()
            key = tuple([bounded_name(shown[1][position]) for position in by_name])
            yield shown[0], key_hash, DriftingKey(bounded_name(shown[0]), statements.name, key, kinds, columns)


def _kinds(source: _Copies, target: _Copies) -> tuple[str, ...]:
    # Nearly all keys have at most one copy on each side.
    if not target:
        return _MISSING
    if not source:
        return _UNEXPECTED
    if len(source) == len(target) == 1:
        return () if source == target else _MISMATCHED
    return tuple(kinds_of(*(list(map(tuple, copies)) for copies in (source, target))))


def _differing(names: tuple[str, ...], source: _Copies, target: _Copies) -> tuple[str, ...]:
    """Return the names of the columns that differ by themselves, by the rules for whole rows; else all names."""
    if len(source) == len(target) == 1:
        differing = [name for name, old, new in zip(names, *source, *target, strict=True) if old != new]
    else:
        compared = Counter if len(source) == len(target) else set
        columns = zip(names, zip(*source, strict=True), zip(*target, strict=True), strict=True)
        differing = [name for name, old, new in columns if compared(old) != compared(new)]
    return tuple(sorted(differing or names))
