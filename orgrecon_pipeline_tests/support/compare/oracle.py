"""Independent oracle: the definition of drift in docs/concepts.md, as plain Python over lists of rows."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence
from typing import Any

KINDS = ("missing", "unexpected", "mismatched", "duplicate")
Row = tuple[str, Hashable, Any]  # tenant, key, compared values


def drift(source: Iterable[Row], target: Iterable[Row]) -> dict[str, dict[str, int]]:
    """Return the drifting keys by tenant and kind; tenants without drift are left out."""
    counts: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(KINDS, 0))
    for (tenant, _), kinds in _kinds_by_key(source, target).items():
        for kind, keys in kinds.items():
            counts[tenant][kind] += keys
    return dict(counts)


def drifting_keys(
    source: Iterable[Row], target: Iterable[Row], names: Sequence[str]
) -> dict[tuple[str, Hashable], tuple[set[str], set[str]]]:
    """Return the kinds and the names of the differing columns of each drifting key, by tenant and key.

    The compared values of the rows are tuples with a value for each name.
    """
    source, target = list(source), list(target)
    return {
        (tenant, key): (set(kinds), _differing(source, target, tenant, key, names) if "mismatched" in kinds else set())
        for (tenant, key), kinds in _kinds_by_key(source, target).items()}


def _differing(source: list[Row], target: list[Row], tenant: str, key: Hashable, names: Sequence[str]) -> set[str]:
    differing = set()
    for position, name in enumerate(names):
        old, new = (Counter(row[2][position] for row in rows if row[:2] == (tenant, key)) for rows in (source, target))
        if old.keys() != new.keys() or (sum(old.values()) == sum(new.values()) and old != new):
            differing.add(name)
    return differing or set(names)


def _kinds_by_key(source: Iterable[Row], target: Iterable[Row]) -> dict[tuple[str, Hashable], dict[str, int]]:
    source_copies: dict[tuple[str, Hashable], Counter[Hashable]] = defaultdict(Counter)
    target_copies: dict[tuple[str, Hashable], Counter[Hashable]] = defaultdict(Counter)
    for copies, rows in ((source_copies, source), (target_copies, target)):
        for tenant, key, values in rows:
            copies[tenant, key][values] += 1
    kinds: dict[tuple[str, Hashable], dict[str, int]] = {}
    for key in source_copies.keys() | target_copies.keys():
        on_source, on_target = source_copies.get(key), target_copies.get(key)
        if on_target is None:
            kinds[key] = {"missing": 1}
        elif on_source is None:
            kinds[key] = {"unexpected": 1}
        elif on_source != on_target:
            n, m = sum(on_source.values()), sum(on_target.values())
            kinds[key] = {"duplicate": abs(n - m)} if n != m else {}
            if n == m or set(on_source) != set(on_target):
                kinds[key]["mismatched"] = 1
    return kinds
