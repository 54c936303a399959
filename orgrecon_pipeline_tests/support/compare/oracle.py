"""What drift is, said a second time: plain Python counters over plain lists, from the words of the contract alone."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable

KINDS = ("missing", "unexpected", "mismatched", "duplicate")
Row = tuple[str, Hashable, Hashable]  # tenant, key, compared values


def drift(source: Iterable[Row], target: Iterable[Row]) -> dict[str, dict[str, int]]:
    """Counts by tenant and kind; only tenants that drift."""
    left: dict[tuple[str, Hashable], Counter[Hashable]] = defaultdict(Counter)
    right: dict[tuple[str, Hashable], Counter[Hashable]] = defaultdict(Counter)
    for side, rows in ((left, source), (right, target)):
        for tenant, key, values in rows:
            side[tenant, key][values] += 1
    found: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(KINDS, 0))
    for tenant, key in left.keys() | right.keys():
        one, other = left.get((tenant, key)), right.get((tenant, key))
        if other is None:
            found[tenant]["missing"] += 1
        elif one is None:
            found[tenant]["unexpected"] += 1
        elif one != other:
            n, m = sum(one.values()), sum(other.values())
            found[tenant]["duplicate"] += abs(n - m)
            if n == m or set(one) != set(other):
                found[tenant]["mismatched"] += 1
    return {tenant: counts for tenant, counts in found.items() if any(counts.values())}
