"""Merging two streams of one side each, in order, holding neither. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, TypeVar

from orgrecon_pipeline.compare.keys.tracked_keys import IN_FLUX, SOURCE_CHANGED, STATES, TARGET_CHANGED, TrackedKeys
from orgrecon_pipeline.compare.scan.fingerprints import Fingerprints, SideRows
from orgrecon_pipeline.domain.errors import CannotDecide
from orgrecon_pipeline.domain.evidence import KINDS
from orgrecon_pipeline.domain.tenant_names import TenantNames
from orgrecon_pipeline.postgres.int8_arrays import packed

#: A row of a stream: ordered by its first columns, unique in them.
Row = tuple[Any, ...]
Pair = tuple[Any, "Row | None", "Row | None"]
Step = TypeVar("Step")


def pairs(source: Iterator[Row], target: Iterator[Row], width: int) -> Iterator[Pair]:
    """Rows of both streams by the first ``width`` columns, None where a stream has none.

    Raises:
        CannotDecide: when a stream is not in ascending order.
    """
    left, right = _ascending(source, width), _ascending(target, width)
    one, other = next(left, None), next(right, None)
    while one is not None or other is not None:
        if other is None or (one is not None and one[0] < other[0]):
            assert one is not None  # noqa: S101 - for the type checker: else the loop had ended
            yield one[0], one[1], None
            one = next(left, None)
        elif one is None or other[0] < one[0]:
            yield other[0], None, other[1]
            other = next(right, None)
        else:
            yield one[0], one[1], other[1]
            one, other = next(left, None), next(right, None)


def fingerprints(
    source: Iterator[Row], target: Iterator[Row], compared: tuple[str, ...],
    count: Callable[[int], None] = lambda rows: None,
) -> Fingerprints:
    """Both sides of an entity, of two streams of ``side_fingerprint.sql``.

    ``count`` is told the rows of each tenant as it comes.
    """
    rows, null_keys = [0, 0], [0, 0]
    values = [0] * len(compared)
    source_rows = packed(())
    differing: dict[str, SideRows] = {}
    balances: dict[str, int] = {}
    # Rows without a tenant come last, and belong to no pair.
    left, right = (_with_tenant(stream, rows, null_keys, side) for side, stream in enumerate((source, target)))

    def tenants() -> Iterator[str]:
        nonlocal values
        for (tenant,), *both in pairs(left, right, 1):
            counts = [row[1] if row else 0 for row in both]
            count(sum(counts))
            prints = [int(row[3]) if row else 0 for row in both]
            for side, row in enumerate(both):
                if row is not None:
                    rows[side] += row[1]
                    null_keys[side] += row[2]
                    values = [so_far + more for so_far, more in zip(values, row[4], strict=True)]
            source_rows.append(counts[0])
            if (counts[0], prints[0]) != (counts[1], prints[1]):
                differing[tenant] = SideRows(*counts)
                balances[tenant] = prints[0] - prints[1]
            yield tenant

    names = TenantNames.ascending(tenants())
    return Fingerprints(
        rows=SideRows(*rows), null_keys=SideRows(*null_keys), tenants=names, source_rows=source_rows,
        differing=differing, values=dict(zip(compared, values, strict=True)), balances=balances,
    )


@dataclass
class KeysApart:
    """Drifting keys as they are found, and the first few digests of each kind, for samples.

    ``seen`` is what an earlier read found of the same tenants: then only those keys count.
    """

    seen: dict[str, TrackedKeys] | None
    limit: int
    first: dict[str, list[tuple[str, int]]] = field(default_factory=lambda: {kind: [] for kind in KINDS})

    def collect(self, source: Iterator[Row], target: Iterator[Row]) -> dict[str, TrackedKeys]:
        """Drift by tenant, of two streams of ``side_keys.sql``."""
        found = {}
        for tenant, keys in groupby(pairs(source, target, 2), key=lambda pair: pair[0][0]):
            taken = _Tenant(self._seen_of(tenant))
            for (_, key), one, other in keys:
                for kind in taken.take(key, one, other):
                    if len(self.first[kind]) < self.limit:
                        self.first[kind].append((tenant, key))
            if drifting := taken.drifting():
                found[tenant] = drifting
        return found

    def _seen_of(self, tenant: str) -> dict[int, tuple[int, int, int]] | None:
        if self.seen is None:
            return None
        # Of jsonb, say, equal tenants can be written in two ways, of which one was seen.
        return self.seen[tenant].states() if tenant in self.seen else {}


class _Tenant:
    def __init__(self, seen: dict[int, tuple[int, int, int]] | None) -> None:
        self._seen = seen
        self._counts = dict.fromkeys(KINDS, 0)
        self._numbers = tuple(packed(()) for _ in range(6))

    def take(self, key: int, source: Row | None, target: Row | None) -> Iterable[str]:
        """Keep a key if it drifts; the kinds that count."""
        if not (kinds := _kinds(source, target)):
            return ()
        now = tuple(int(row[4]) % STATES if row else 0 for row in (source, target))
        before = (*now, 0) if self._seen is None else self._seen.get(key)
        if before is None:
            return ()  # a recheck counts only what was seen before
        *states, changed = before
        for side, flag in enumerate((SOURCE_CHANGED, TARGET_CHANGED)):
            changed |= flag if states[side] != now[side] else 0
        for numbers, number in zip(self._numbers, (key, *states, *now, changed), strict=True):
            numbers.append(number)
        if changed == IN_FLUX:
            return ()
        for kind, count in kinds.items():
            self._counts[kind] += count
        return kinds

    def drifting(self) -> TrackedKeys | None:
        """What was kept."""
        return TrackedKeys(self._counts, *self._numbers) if self._numbers[0] else None


def _kinds(source: Row | None, target: Row | None) -> dict[str, int]:
    """The kinds of drift of one key: the rules of design §2, over copies and digests."""
    if source is None:
        return {"unexpected": 1}
    if target is None:
        return {"missing": 1}
    (n, as_set, as_multiset), (m, other_set, other_multiset) = source[2:], target[2:]
    if n == m:
        return {} if as_multiset == other_multiset else {"mismatched": 1}
    return {"duplicate": abs(n - m), **({} if as_set == other_set else {"mismatched": 1})}


def _with_tenant(rows: Iterator[Row], counts: list[int], null_keys: list[int], side: int) -> Iterator[Row]:
    for row in rows:
        if row[0] is None:
            counts[side] += row[1]
            null_keys[side] += row[1]
        else:
            yield row


def _ascending(rows: Iterator[Row], width: int) -> Iterator[tuple[Any, Row]]:
    last = None
    for row in rows:
        place = row[:width]
        if last is not None and not last < place:
            raise CannotDecide("a database sent its rows in another order than it was asked for: do not trust it")
        last = place
        yield place, row
