"""Tracked keys that were written since the previous read: each side is compared with its own rows of that read."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, repeat

from psycopg import sql

from orgrecon_pipeline.compare.keys.buckets import Buckets, power_of_two
from orgrecon_pipeline.compare.keys.key_streams import TenantCollector, copies_by_key
from orgrecon_pipeline.compare.keys.portions import Portions, chunk_count
from orgrecon_pipeline.compare.keys.tracked_keys import TrackedKeys, count_keys
from orgrecon_pipeline.compare.queries.statements import EntityStatements
from orgrecon_pipeline.domain.mapping.model import SIDES
from orgrecon_pipeline.postgres.int8_arrays import decode_int8, in_chunks, int8_array
from orgrecon_pipeline.postgres.session import Session
from orgrecon_pipeline.postgres.settings import RAISED_WORK_MEM

# The server compares each row with a bit string: with these sizes, it selects few other rows, and stays in the caches.
_BITS_PER_KEY = 16
_MAX_BITS = 2**22
# If more of the bits are set, reading all rows takes less than selecting by bit.
_FEW_BITS = 0.5
# If more of the rows are selected, workers take more time to pass them on than they save. Both sides are read at once.
_FEW_ROWS = 0.1
_WITHOUT_WORKERS = {"max_parallel_workers_per_gather": "0"}

#: Alternating hashes and states (row hashes, folded to 62 bits) of some keys on one side, by tenant: a pair for each
#: copy of a key, or one with state 0 if the key has no row.
Written = Mapping[str, "array[int]"]


@dataclass(frozen=True)
class WrittenKeys:
    """Read of the rows of tracked keys.

    Attributes:
        statements: the statements of the entity.
        tracked: the keys by tenant, as of the previous read.
        tenants: the tenants to read, at least all with tracked keys; None for all.
        buckets: buckets that contain the keys and few others; None to read all keys of the tenants.
        portions: the portions in which the rows are read.
        large: whether to prefer scans to indexes.
    """

    statements: EntityStatements
    tracked: Mapping[str, TrackedKeys]
    tenants: Sequence[str] | None
    buckets: Buckets | None
    portions: Portions
    large: bool

    @classmethod
    def of(
        cls, statements: EntityStatements, tracked: Mapping[str, TrackedKeys], tenants: Sequence[str] | None,
        rows: int, largest_tenant: int, *, large: bool,
    ) -> WrittenKeys:
        """Prepare the read; numbers of rows as for :meth:`Portions.of`."""
        keys = count_keys(tracked)
        count = min(_MAX_BITS, power_of_two(_BITS_PER_KEY * keys))
        buckets = Buckets.of(count, chain.from_iterable(of_tenant.keys for of_tenant in tracked.values()))
        in_buckets = buckets.share <= _FEW_BITS
        selected = min(rows, int(2 * keys + buckets.share * rows)) if in_buckets else rows
        portions = Portions.of(len(tracked), selected, largest_tenant, large=large)
        if selected > _FEW_ROWS * rows:
            portions = replace(portions, settings=portions.settings | _WITHOUT_WORKERS)
        return cls(statements, tracked, tenants, buckets if in_buckets else None, portions, large)

    def read(self, session: Session, side: str, largest_table: sql.Identifier | None, action: str = "") -> Written:
        """Return the keys whose rows on one side have changed since the previous read, or that have several rows.

        ``action`` is the name of the read in error messages, by default the entity's name.
        """
        chunks, slices = self.portions.chunks, self.portions.slices
        statement = self.statements.side_keys(
            side, largest_table if self.large else None, of_tenants=self.tenants is not None,
            in_buckets=self.buckets is not None, in_chunks=chunks > 1, sliced=slices > 1)
        parameters: dict[str, object] = {"tenants": session.encoding.expressible(self.tenants or ()),
                                         **(self.buckets.parameters() if self.buckets else {})}
        earlier = _by_chunk(self.tracked, side, chunks)
        written = {tenant: int8_array(()) for tenant in self.tracked}
        with session.planner_settings(self.portions.settings, RAISED_WORK_MEM):
            for of_slice in self.portions.parameters():
                rows = session.stream(statement, action or self.statements.name, parameters | of_slice,
                                      chunk=self.portions.fetch)
                for tenant, chunk, hashes in rows:
                    if states := earlier.pop((tenant, chunk), None):  # other tenants can be read too
                        written[tenant].extend(_written(states, decode_int8(hashes)))
        for (tenant, _), states in earlier.items():
            written[tenant].extend(_written(states, int8_array(())))
        return written


def split_written(
    tracked: Mapping[str, TrackedKeys], source: Written, target: Written
) -> tuple[dict[str, TrackedKeys], dict[str, TrackedKeys]]:
    """Return the keys that were not written, which drift as before, and the others as they were."""
    unwritten, written = {}, {}
    for tenant, keys in tracked.items():
        rest, chosen = keys.split({*source[tenant][::2], *target[tenant][::2]})
        if rest:
            unwritten[tenant] = rest
        if chosen:
            written[tenant] = chosen
    return unwritten, written


def still_drifting(written: Mapping[str, TrackedKeys], source: Written, target: Written) -> dict[str, TrackedKeys]:
    """Return the written keys that still drift. Equal rows must have equal hashes."""
    drift = {}
    for tenant, keys in written.items():
        chunks = chunk_count(len(keys.keys))
        sides = (in_chunks((side[tenant][::2], side[tenant][1::2]), chunks) for side in (source, target))
        parts = [_still_drifting(*part) for part in zip(keys.in_chunks(chunks), *sides, strict=True)]
        if drifting := [part for part in parts if part]:
            drift[tenant] = TrackedKeys.merged(drifting)
    return drift


def _still_drifting(
    keys: TrackedKeys, source: Sequence[array[int]], target: Sequence[array[int]]
) -> TrackedKeys | None:
    rows_of_old, rows_of_new = (dict(zip(*side, strict=True)) for side in (source, target))
    if len(rows_of_old) == len(source[0]) and len(rows_of_new) == len(target[0]):
        return keys.as_of(int8_array(map(rows_of_old.get, keys.keys, keys.source_now)),
                          int8_array(map(rows_of_new.get, keys.keys, keys.target_now)))
    collector = TenantCollector(keys.states(), None)
    old, new = copies_by_key(*source), copies_by_key(*target)
    rows = ((key, old.get(key, [was_old]), new.get(key, [was_new]))
            for key, was_old, was_new in zip(keys.keys, keys.source_now, keys.target_now, strict=True))
    collector.add((key, _without_zero(old_rows), _without_zero(new_rows)) for key, old_rows, new_rows in rows
                  if sorted(old_rows) != sorted(new_rows))
    return collector.result()


def _by_chunk(
    tracked: Mapping[str, TrackedKeys], side: str, chunks: int
) -> dict[tuple[str, int], tuple[array[int], array[int]]]:
    """Return by tenant and chunk the tracked keys, and the state of each on one side at the previous read."""
    states = {tenant: (keys.keys, keys.source_now if side == SIDES[0] else keys.target_now)
              for tenant, keys in tracked.items()}
    if chunks == 1:
        return {(tenant, 0): arrays for tenant, arrays in states.items()}
    by_chunk: dict[tuple[str, int], tuple[array[int], array[int]]]
    by_chunk = defaultdict(lambda: (int8_array(()), int8_array(())))
    for tenant, arrays in states.items():
        for key, state in zip(*arrays, strict=True):
            keys, of_keys = by_chunk[tenant, key & (chunks - 1)]
            keys.append(key)
            of_keys.append(state)
    return by_chunk


def _written(states: tuple[array[int], array[int]], hashes: array[int]) -> array[int]:
    """Return the keys with other or several rows now as in :data:`Written`.

    Given are the keys with their states before, and alternating hashes of key and row.
    """
    keys, before = states
    numbers = iter(hashes)
    rows = dict(zip(numbers, numbers, strict=True))
    if 2 * len(rows) == len(hashes):
        now = map(rows.get, keys, repeat(0))
        return int8_array([number for key, state, row in zip(keys, before, now, strict=True) if row != state
                           for number in (key, row)])
    copies, none = copies_by_key(hashes[::2], hashes[1::2]), [0]
    return int8_array(chain.from_iterable(
        (key, now) for key, state in zip(keys, before, strict=True) if (rows_now := copies.get(key, none)) != [state]
        for now in rows_now))


def _without_zero(states: Sequence[int]) -> list[int]:
    return list(filter(None, states))
