"""The scan of one side where both are in one database: packed, and compared here with the other one.

Each side is a statement of its own, so that both can be read at the same time, and a million tenants are compared by
comparing bytes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from psycopg import sql

from orgrecon_pipeline.compare.keys.merge_join import Row, fingerprints
from orgrecon_pipeline.compare.scan.fingerprints import Fingerprints, SideRows
from orgrecon_pipeline.compare.statements import HALVES, WHOLE, EntityStatements, Sums
from orgrecon_pipeline.domain.tenant_names import TenantNames
from orgrecon_pipeline.postgres.int8_arrays import Int8Array
from orgrecon_pipeline.postgres.session import EVERY_ROW, MANY_TENANTS_ROOM, Session

# From here on tenants are many, and what a group costs counts for more than what a row costs.
_MANY_TENANTS = 20_000
#: Parallel workers share a side; the planner would rather give a whole part of a UNION ALL to each.
PLANNING = {**EVERY_ROW, "enable_parallel_append": "off"}


@dataclass(frozen=True)
class SideFingerprints:
    """One side of an entity: its tenants, and for each in their order its rows and the two numbers of its fingerprint.

    ``rows_in_all`` and ``null_keys`` are totals; ``values`` counts, per compared column, the rows in which it is not
    NULL.
    """

    sums: Sums = field(repr=False)
    tenants: TenantNames
    rows: Int8Array = field(repr=False)
    highs: Int8Array = field(repr=False)
    lows: Int8Array = field(repr=False)
    rows_in_all: int
    null_keys: int
    values: tuple[int, ...]

    def figures(self) -> tuple[Int8Array, ...]:
        """What tells whether two sides of the same tenants agree."""
        return self.rows, self.highs, self.lows

    def stream(self) -> Iterator[Row]:
        """The same as rows of ``side_fingerprint.sql``, without what is known in all."""
        for place, tenant in enumerate(self.tenants):
            yield tenant, self.rows[place], 0, self.print_at(place), ()

    def print_at(self, place: int) -> int:
        """The fingerprint of the tenant at a place."""
        sums = self.sums
        high, low, rows = self.highs[place], self.lows[place], self.rows[place]
        return int(high * sums.base + low + rows * sums.shift)


def sums_for(tenants: int) -> Sums:
    """How digests are best added up where there are about so many tenants."""
    return HALVES if tenants >= _MANY_TENANTS else WHOLE


def read_side(
    session: Session, statements: EntityStatements, side: str, sums: Sums, largest: sql.Identifier | None
) -> SideFingerprints:
    """Read one side once; ``largest`` is the largest table that may be read.

    Raises:
        CannotDecide: when that fails.
    """
    with session.planned(PLANNING, MANY_TENANTS_ROOM):
        statement = statements.side_packed(side, largest, sums, by_code_point=session.sorts_by_code_point)
        parts: dict[str, bytearray] = defaultdict(bytearray)
        for row in session.stream(statement, statements.name):
            rows_in_all, null_keys, values, part, piece = row  # the first three are the same in every row
            parts[part] += piece or b""
    return SideFingerprints(
        sums=sums, tenants=TenantNames(bytes(parts.pop("names"))), rows=Int8Array(parts["rows"]),
        highs=Int8Array(parts["highs"]), lows=Int8Array(parts["lows"]), rows_in_all=rows_in_all,
        null_keys=null_keys, values=tuple(count or 0 for count in values),
    )


def side_by_side(compared: tuple[str, ...], source: SideFingerprints, target: SideFingerprints) -> Fingerprints:
    """Both sides of an entity with these compared columns."""
    if source.tenants == target.tenants:
        found = _of_the_same_tenants(source, target)
    else:
        found = fingerprints(source.stream(), target.stream(), ())
    return replace(
        found, rows=SideRows(source.rows_in_all, target.rows_in_all),
        null_keys=SideRows(source.null_keys, target.null_keys),
        values={name: one + other for name, one, other in zip(compared, source.values, target.values, strict=True)},
    )


def _of_the_same_tenants(source: SideFingerprints, target: SideFingerprints) -> Fingerprints:
    differing, balances = {}, {}
    if source.figures() != target.figures():
        pairs = zip(zip(*source.figures(), strict=True), zip(*target.figures(), strict=True), strict=True)
        for place in (place for place, (one, other) in enumerate(pairs) if one != other):
            tenant = source.tenants[place]
            differing[tenant] = SideRows(source.rows[place], target.rows[place])
            balances[tenant] = source.print_at(place) - target.print_at(place)
    return Fingerprints(
        SideRows(0, 0), SideRows(0, 0), source.tenants, source.rows, differing, values={}, balances=balances)
