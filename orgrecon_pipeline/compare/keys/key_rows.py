"""Drifting keys with their texts, kinds and differing columns, from a stream of their rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import compress
from operator import itemgetter, ne

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
# Kinds of drift of a key, none if it does not drift, and its differing columns.
_Drift = tuple[tuple[str, ...], tuple[str, ...]]

_MISSING, _UNEXPECTED, _MISMATCHED = ((kind.value,) for kind in (
    DriftKind.MISSING, DriftKind.UNEXPECTED, DriftKind.MISMATCHED))
_tenant_and_key = itemgetter(2, 3)


def keys_of_rows(statements: EntityStatements, rows: Iterable[Row]) -> Iterator[KeyWithHash]:
    """Yield the keys in the rows of ``key_rows.sql`` of both sides, in the order of their hashes."""
    entity, names, compared = statements.name, statements.entity.key, statements.entity.compare
    by_name = sorted(range(len(names)), key=names.__getitem__)
    none: tuple[str, ...] = ()
    kinds: tuple[str, ...]
    columns: tuple[str, ...]
    # Few sets of columns differ in many keys.
    names_of = lru_cache(lambda differ: tuple(sorted(compress(compared, differ))))
    for of_key in _rows_by_key(rows):
        key_hash, on_source, tenant, key, values = of_key[0]
        # Nearly all keys have at most one copy on each side.
        if len(of_key) == 1:
            kinds, columns = _MISSING if on_source else _UNEXPECTED, none
        else:
            # Equal keys of some types, such as jsonb, can be written differently.
            tenant, key = min(map(_tenant_and_key, of_key))
            if len(of_key) > 2 or of_key[1][1] is on_source:
                kinds, columns = _drift_of_copies(compared, of_key)
            elif values != of_key[1][4]:
                kinds, columns = _MISMATCHED, names_of(tuple(map(ne, values, of_key[1][4])))
            else:
                continue
        if kinds:
            texts = tuple([bounded_name(key[position]) for position in by_name])
            yield tenant, key_hash, DriftingKey(bounded_name(tenant), entity, texts, kinds, columns)


def _rows_by_key(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Yield the rows of each key, in the order of the hashes of the keys."""
    of_key: list[Row] = []
    for row in rows:
        if of_key and row[0] != of_key[0][0]:
            if row[0] < of_key[0][0]:
                raise out_of_order()
            yield of_key
            of_key = []
        of_key.append(row)
    if of_key:
        yield of_key


def _drift_of_copies(names: tuple[str, ...], of_key: Sequence[Row]) -> _Drift:
    """Return the drift of a key that has several copies on a side."""
    source, target = ([row[4] for row in of_key if row[1] is on_source] for on_source in (True, False))
    kinds = tuple(kinds_of(*(list(map(tuple, copies)) for copies in (source, target))))
    return kinds, _differing(names, source, target) if DriftKind.MISMATCHED in kinds else ()


def _differing(names: tuple[str, ...], source: _Copies, target: _Copies) -> tuple[str, ...]:
    """Return the names of the columns that differ by themselves, by the rules for whole rows; else all names."""
    compared = Counter if len(source) == len(target) else set
    columns = zip(names, zip(*source, strict=True), zip(*target, strict=True), strict=True)
    differing = [name for name, old, new in columns if compared(old) != compared(new)]
    return tuple(sorted(differing or names))
