"""Scan of each side in one database, with the results as int8 arrays.

Each side is a statement of its own, so that two sessions can read them concurrently.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from psycopg import sql

from orgrecon_pipeline.compare.queries.hash_sum import BIGINT_SUMS, NUMERIC_SUM, HashSum
from orgrecon_pipeline.compare.queries.statements import EntityStatements
from orgrecon_pipeline.compare.scan.fingerprints import Fingerprints, SideRows
from orgrecon_pipeline.compare.scan.join_memory import join_settings
from orgrecon_pipeline.compare.scan.merge_join import Row, merge_join, names_from_server
from orgrecon_pipeline.domain.integrity.snapshot_fingerprints import MODULUS
from orgrecon_pipeline.domain.tenant_names import TenantNames
from orgrecon_pipeline.postgres.int8_arrays import decode_int8, int8_array
from orgrecon_pipeline.postgres.session import Session
from orgrecon_pipeline.postgres.settings import NO_NESTED_LOOPS, RAISED_WORK_MEM

# From this number of tenants on, the cost per group outweighs the cost per row.
_MANY_TENANTS = 20_000
#: Planner settings for a scan. Without Parallel Append, all workers share each branch of a UNION ALL. If small tables
#: may be scanned in parallel, the workers share one hash table of them, instead of building one each.
SCAN_SETTINGS = {**NO_NESTED_LOOPS, "enable_parallel_append": "off", "min_parallel_table_scan_size": "0"}


def scan_settings(statements: EntityStatements) -> dict[str, str]:
    """Return the planner settings for a scan; none for that of one tenant, which an index may find."""
    return SCAN_SETTINGS if statements.only is None else {}


@dataclass(frozen=True)
class SideFingerprints:
    """Result of the scan of one side.

    The arrays are in the order of ``tenants``: each tenant's rows, and both numbers of its fingerprint. The other
    fields are as in :class:`Fingerprints`.
    """

    hash_sum: HashSum = field(repr=False)
    tenants: TenantNames
    rows: array[int] = field(repr=False)
    highs: array[int] = field(repr=False)
    lows: array[int] = field(repr=False)
    total_rows: int
    null_keys: int
    values: tuple[int, ...]

    def arrays(self) -> tuple[array[int], ...]:
        """Return the arrays that are equal on both sides if the same tenants agree."""
        return self.rows, self.highs, self.lows

    def stream(self) -> Iterator[Row]:
        """Yield the tenant, the number of rows and the fingerprint of each tenant."""
        for position, tenant in enumerate(self.tenants):
            yield tenant, self.rows[position], self.fingerprint(position)

    def sums(self) -> array[int]:
        """Return the fingerprints of all tenants modulo 2**64, which do not depend on how they were summed."""
        base, offset = self.hash_sum.base, self.hash_sum.offset
        return array("Q", [(high * base + low + rows * offset) % MODULUS
                           for high, low, rows in zip(self.highs, self.lows, self.rows, strict=True)])

    def fingerprint(self, position: int) -> int:
        """Return the sum of the row hashes of the tenant at a position."""
        high, low, rows = self.highs[position], self.lows[position], self.rows[position]
        return int(high * self.hash_sum.base + low + rows * self.hash_sum.offset)


def choose_hash_sum(tenants: int) -> HashSum:
    """Return the fastest way to sum the row hashes of that many tenants."""
    return BIGINT_SUMS if tenants >= _MANY_TENANTS else NUMERIC_SUM


def scan_side(
    session: Session, statements: EntityStatements, side: str, hash_sum: HashSum,
    largest_table: sql.Identifier | None, tenants: Sequence[str] | None = None, *, all_tenants: int = 0,
    action: str = "",
) -> SideFingerprints:
    """Scan one side of an entity.

    Args:
        largest_table: as in :class:`EntityStatements`; without it, an index may be used.
        tenants: the tenants to scan; None for all.
        all_tenants: the approximate number of all tenants; 0 if it is unknown, or if the tables are small.
        action: name of the scan in error messages, by default the entity's name.
    """
    settings = scan_settings(statements) if largest_table or tenants is None else {}
    statement = statements.side_arrays(
        side, largest_table, hash_sum, sorts_as_utf8=session.encoding.sorts_as_utf8, of_tenants=tenants is not None)
    parameters = {} if tenants is None else {"tenants": session.encoding.expressible(tenants)}
    action = action or statements.name
    with session.planner_settings(settings, RAISED_WORK_MEM):
        to_join = join_settings(session, statement, action, parameters, all_tenants) if settings else {}
        with session.planner_settings(to_join):
            parts: dict[str, bytearray] = defaultdict(bytearray)
            for row in session.stream(statement, action, parameters):
                total_rows, null_keys, values, part, piece = row  # the totals are the same in every row
                parts[part] += piece or b""
    rows, highs, lows = (decode_int8(parts.pop(name, b"")) for name in ("rows", "highs", "lows"))
    return SideFingerprints(
        hash_sum, names_from_server(bytes(parts.pop("names"))), rows, highs, lows, total_rows, null_keys,
        values=tuple(count or 0 for count in values))


def compare_sides(compared: tuple[str, ...], source: SideFingerprints, target: SideFingerprints) -> Fingerprints:
    """Return the fingerprints of an entity with these compared columns."""
    compare = _compare_same_tenants if source.tenants == target.tenants else _merge
    return replace(
        compare(source, target), rows=SideRows(source.total_rows, target.total_rows),
        null_keys=SideRows(source.null_keys, target.null_keys),
        values={name: sum(counts) for name, *counts in zip(compared, source.values, target.values, strict=True)},
    )


def _compare_same_tenants(source: SideFingerprints, target: SideFingerprints) -> Fingerprints:
    differing, sums, balances = {}, {}, {}
    if source.arrays() != target.arrays():
        numbers = zip(zip(*source.arrays(), strict=True), zip(*target.arrays(), strict=True), strict=True)
        for position, (source_numbers, target_numbers) in enumerate(numbers):
            if source_numbers != target_numbers:
                tenant = source.tenants[position]
                differing[tenant] = SideRows(source.rows[position], target.rows[position])
                source_sum = source.fingerprint(position)
                sums[tenant], balances[tenant] = source_sum % MODULUS, source_sum - target.fingerprint(position)
    return Fingerprints(
        SideRows(0, 0), SideRows(0, 0), source.tenants, source.rows, source.sums(), differing, values={},
        balances=balances, differing_sums=sums)


def _merge(source: SideFingerprints, target: SideFingerprints) -> Fingerprints:
    source_rows, source_sums = int8_array(()), array("Q")
    differing: dict[str, SideRows] = {}
    differing_sums: dict[str, int] = {}
    balances: dict[str, int] = {}

    def tenants() -> Iterator[str]:
        for (tenant,), *pair in merge_join(source.stream(), target.stream(), 1):
            counts = [row[1] if row else 0 for row in pair]
            sums = [row[2] if row else 0 for row in pair]
            source_rows.append(counts[0])
            source_sums.append(sums[0] % MODULUS)
            if counts[0] != counts[1] or sums[0] != sums[1]:
                differing[tenant] = SideRows(*counts)
                differing_sums[tenant], balances[tenant] = sums[0] % MODULUS, sums[0] - sums[1]
            yield tenant

    names = TenantNames.ascending(tenants())
    return Fingerprints(
        SideRows(0, 0), SideRows(0, 0), names, source_rows, source_sums, differing, values={}, balances=balances,
        differing_sums=differing_sums)
