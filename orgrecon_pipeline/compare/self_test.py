"""The checker proves its own eyes: known drift, found by the very same SQL on the very same server."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from orgrecon_pipeline.compare.keys.drilldown import drill_down
from orgrecon_pipeline.compare.keys.key_join import join_sides
from orgrecon_pipeline.compare.keys.tracked_keys import TrackedKeys
from orgrecon_pipeline.compare.preflight import SIDES
from orgrecon_pipeline.compare.row_hash import ColumnType, RowHash
from orgrecon_pipeline.compare.scan.fingerprints import Fingerprints, SideRows
from orgrecon_pipeline.compare.scan.side_scan import read_side, side_by_side
from orgrecon_pipeline.compare.statements import WHOLE, EntityStatements, Sums
from orgrecon_pipeline.domain.errors import CannotDecide
from orgrecon_pipeline.domain.mapping import TENANT_COLUMN, Entity, Relation
from orgrecon_pipeline.domain.tenant_names import TenantNames
from orgrecon_pipeline.postgres.session import Session

# tenant, key, value; one difference of each kind, one between NULL and a value, and one row without a key. Beside it a
# tenant of unique keys: a join by key can tell of it, and has to; of the first one it has to leave the word to others.
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
    "drifting": {"missing": 1, "unexpected": 1, "mismatched": 2, "duplicate": 1},
    "unique": {"missing": 1, "unexpected": 1, "mismatched": 1, "duplicate": 0},
}
_TEXT = ColumnType("text", collatable=True, native_equality=True)


_NOT_FOUND = "the self-test did not find exactly the drift that it planted: do not trust this server"


def run_self_test(session: Session, digest: RowHash, sums: Sums = WHOLE) -> None:
    """Compare the built-in pair in the open transaction, its digests added up as those of the comparison will be.

    Raises:
        CannotDecide: unless exactly the known differences are found.
    """
    statements = _statements(digest)
    seen = side_by_side(
        statements.entity.compare, *(read_side(session, statements, side, sums, largest=None) for side in SIDES))
    grouped = drill_down(session, statements, seen.tenants)
    joined, left = join_sides(session, statements, ["clean", *_EXPECTED], seen)
    if (
        not _as_planted(seen, grouped)
        or {tenant: drifting.counts for tenant, drifting in joined.items()} != {"unique": _EXPECTED["unique"]}
        or left != ["drifting"]
    ):
        raise CannotDecide(_NOT_FOUND)


def run_self_test_across(
    fingerprint_of: Callable[[EntityStatements], Fingerprints],
    ways: Sequence[Callable[[EntityStatements, list[str]], tuple[dict[str, TrackedKeys], Any]]],
    digest: RowHash,
) -> None:
    """Compare the built-in pair in two databases, by what reads them for a comparison; keys in each of its ways.

    Raises:
        CannotDecide: unless exactly the known differences are found.
    """
    statements = _statements(digest)
    seen = fingerprint_of(statements)
    with_keys = [tenant for tenant in seen.tenants if tenant != "null"]
    if not all(_as_planted(seen, keys_of(statements, with_keys)[0]) for keys_of in ways):
        raise CannotDecide(_NOT_FOUND)


def _as_planted(seen: Fingerprints, found: dict[str, TrackedKeys]) -> bool:
    return (
        set(seen.differing) == _EXPECTED.keys()
        and seen.tenants == TenantNames.of([*_EXPECTED, "clean", "null"])
        and seen.rows_of("clean") == SideRows(2, 2)
        and seen.null_keys == SideRows(1, 1)
        and {tenant: drifting.counts for tenant, drifting in found.items()} == _EXPECTED
    )


def _statements(digest: RowHash) -> EntityStatements:
    names = (TENANT_COLUMN, "key", "value")
    columns = {name: f"v.{name}" for name in names}

    def relation(rows: str) -> Relation:
        return Relation.model_validate({"from": f"(VALUES {rows}) AS v (tenant_id, key, value)", "columns": columns})

    entity = Entity(key=("key",), compare=("value",), source=(relation(_SOURCE),), target=(relation(_TARGET),))
    return EntityStatements("self-test", entity, dict.fromkeys(names, _TEXT), digest)
