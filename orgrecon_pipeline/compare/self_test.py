"""Self-test: compare built-in rows with known drift on the same server; CannotDecide unless exactly that is found."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from orgrecon_pipeline.compare.keys.drilldown import drill_down
from orgrecon_pipeline.compare.keys.key_join import join_by_key
from orgrecon_pipeline.compare.keys.tracked_keys import TrackedKeys, merge_tenants
from orgrecon_pipeline.compare.keys.written_keys import Written, WrittenKeys, split_written, still_drifting
from orgrecon_pipeline.compare.queries.column_type import ColumnType
from orgrecon_pipeline.compare.queries.hash_sum import NUMERIC_SUM, HashSum
from orgrecon_pipeline.compare.queries.row_hash import RowHash
from orgrecon_pipeline.compare.queries.statements import EntityStatements
from orgrecon_pipeline.compare.scan.fingerprints import Fingerprints, SideRows
from orgrecon_pipeline.compare.scan.side_scan import compare_sides, scan_side
from orgrecon_pipeline.domain.drift.kinds import Counts
from orgrecon_pipeline.domain.errors import CannotDecide
from orgrecon_pipeline.domain.mapping.model import SIDES, TENANT_COLUMN, Entity, Relation
from orgrecon_pipeline.domain.reasons import ReasonCode
from orgrecon_pipeline.domain.tenant_names import TenantNames
from orgrecon_pipeline.postgres.int8_arrays import int8_array
from orgrecon_pipeline.postgres.session import Session

# Tenant, key and value. The tenant "drifting" has every kind of drift, a NULL against a value, and a duplicate key,
# which the join by key must leave undecided. The tenant "unique" has unique keys, which it must decide.
_SOURCE = """
    ('drifting', 'same', 'x'), ('drifting', 'missing', 'x'), ('drifting', 'mismatched', 'x'),
    ('drifting', 'duplicate', 'x'), ('drifting', 'duplicate', 'x'), ('drifting', 'null only', NULL),
    ('unique', 'same', 'x'), ('unique', 'missing', 'x'), ('unique', 'mismatched', NULL),
    ('clean', 'same', 'x'), ('clean', 'null', NULL), ('null', NULL, 'x')"""
_TARGET = """
    ('drifting', 'same', 'x'), ('drifting', 'unexpected', 'x'), ('drifting', 'mismatched', 'y'),
    ('drifting', 'duplicate', 'x'), ('drifting', 'null only', 'x'),
    ('unique', 'same', 'x'), ('unique', 'unexpected', 'x'), ('unique', 'mismatched', 'x'),
    ('clean', 'null', NULL), ('clean', 'same', 'x'), ('null', NULL, 'x')"""
_EXPECTED = {
    "drifting": Counts.of({"missing": 1, "unexpected": 1, "mismatched": 2, "duplicate": 1}),
    "unique": Counts.of({"missing": 1, "unexpected": 1, "mismatched": 1}),
}
# So many that most buckets hold no drifting key.
_BUCKETS = 64
_TEXT = ColumnType("text", collatable=True, native_equality=True)

#: Returns the drift by tenant of the given tenants.
FindDrift = Callable[[EntityStatements, list[str]], dict[str, TrackedKeys]]
#: Reads the rows of tracked keys on one side.
ReadWritten = Callable[[WrittenKeys, str], Written]


def run_self_test(session: Session, row_hash: RowHash, hash_sum: HashSum = NUMERIC_SUM) -> None:
    """Run the self-test in the open transaction of one database, with the sums that the comparison will use."""
    statements = _statements(row_hash, frozenset(SIDES if session.citus_version else ()))
    sides = (scan_side(session, statements, side, hash_sum, largest_table=None) for side in SIDES)
    fingerprints = compare_sides(statements.entity.compare, *sides)
    drift = drill_down(session, statements, fingerprints.tenants)
    _require(_is_expected(fingerprints, drift))
    for buckets in (0,) if session.citus_version else (0, _BUCKETS):
        joined, undecided = join_by_key(session, statements, ["clean", *_EXPECTED], fingerprints, fingerprints.extent,
                                        bucket_count=buckets)
        _require(_counts(joined) == {"unique": _EXPECTED["unique"]} and undecided == ["drifting"])
    _require(_counts(drill_down(session, statements, sorted(_EXPECTED), drift)) == _EXPECTED)
    _require_written_keys(statements, drift, lambda reading, side: reading.read(session, side, None))


def run_self_test_across(
    read_fingerprints: Callable[[EntityStatements], Fingerprints], methods: Sequence[FindDrift],
    read_written: ReadWritten, row_hash: RowHash, distributed: frozenset[str],
) -> None:
    """Run the self-test across two databases, with every method that the comparison may use to find drift by key."""
    statements = _statements(row_hash, distributed)
    fingerprints = read_fingerprints(statements)
    tenants = [tenant for tenant in fingerprints.tenants if tenant != "null"]
    for find_drift in methods:
        _require(_is_expected(fingerprints, drift := find_drift(statements, tenants)))
    _require_written_keys(statements, drift, read_written)


def _require_written_keys(
    statements: EntityStatements, drift: dict[str, TrackedKeys], read_written: ReadWritten
) -> None:
    """Require that a recheck notices the keys whose rows it read differently before: all of the tenant "unique"."""
    before = {tenant: TrackedKeys.start(
        Counts.zero(), keys.keys,
        int8_array(state ^ (tenant == "unique") for state in keys.source_now), keys.target_now)
        for tenant, keys in drift.items()}
    reading = WrittenKeys.of(statements, before, sorted(before), rows=0, largest_tenant=0, large=True)
    source, target = (read_written(reading, side) for side in SIDES)
    unwritten, written = split_written(before, source, target)
    _require(unwritten.keys() == {"drifting"} and len(written["unique"].keys) == len(drift["unique"].keys))
    _require(_counts(merge_tenants(unwritten, still_drifting(written, source, target))) == _EXPECTED)


def _require(passed: bool) -> None:
    if not passed:
        raise CannotDecide("the self-test did not find exactly the known drift: do not trust this server",
                           ReasonCode.SELF_TEST_FAILED)


def _is_expected(fingerprints: Fingerprints, drift: dict[str, TrackedKeys]) -> bool:
    return (
        set(fingerprints.differing) == _EXPECTED.keys()
        and fingerprints.tenants == TenantNames.of([*_EXPECTED, "clean", "null"])
        and fingerprints.rows_of("clean") == SideRows(2, 2)
        and fingerprints.null_keys == SideRows(1, 1)
        and _counts(drift) == _EXPECTED)


def _counts(drift: dict[str, TrackedKeys]) -> dict[str, Counts[int]]:
    return {tenant: tracked.counts for tenant, tracked in drift.items()}


def _statements(row_hash: RowHash, distributed: frozenset[str]) -> EntityStatements:
    names = (TENANT_COLUMN, "key", "value")
    columns = {name: f"v.{name}" for name in names}

    def relation(rows: str) -> Relation:
        return Relation.model_validate({"from": f"(VALUES {rows}) AS v (tenant_id, key, value)", "columns": columns})

    entity = Entity(key=("key",), compare=("value",), source=(relation(_SOURCE),), target=(relation(_TARGET),))
    return EntityStatements("self-test", entity, dict.fromkeys(names, _TEXT), row_hash, distributed=distributed)
