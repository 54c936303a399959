"""Independent oracle: the definition of drift in docs/concepts.md, as plain Python over lists of rows."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable

KINDS = ("missing", "unexpected", "mismatched", "duplicate")
Row = tuple[str, Hashable, Hashable]  # tenant, key, compared values


def drift(source: Iterable[Row], target: Iterable[Row]) -> dict[str, dict[str, int]]:
    """Return the drifting keys by tenant and kind; tenants without drift are left out."""
    source_copies: dict[tuple[str, Hashable], Counter[Hashable]] = defaultdict(Counter)
    target_copies: dict[tuple[str, Hashable], Counter[Hashable]] = defaultdict(Counter)
    for copies, rows in ((source_copies, source), (target_copies, target)):
        for tenant, key, values in rows:
            copies[tenant, key][values] += 1
    counts: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(KINDS, 0))
    for tenant, key in source_copies.keys() | target_copies.keys():
        on_source, on_target = source_copies.get((tenant, key)), target_copies.get((tenant, key))
        if on_target is None:
            counts[tenant]["missing"] += 1
        elif on_source is None:
            counts[tenant]["unexpected"] += 1
        elif on_source != on_target:
            n, m = sum(on_source.values()), sum(on_target.values())
            counts[tenant]["duplicate"] += abs(n - m)
            if n == m or set(on_source) != set(on_target):
                counts[tenant]["mismatched"] += 1
    return {tenant: of_tenant for tenant, of_tenant in counts.items() if any(of_tenant.values())}
