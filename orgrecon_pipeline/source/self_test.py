"""The checker proves its own eyes: known drift, found by the very same SQL on the very same server."""

from __future__ import annotations

from orgrecon_pipeline.domain.errors import CannotDecide
from orgrecon_pipeline.domain.mapping import TENANT_COLUMN, Entity, Relation
from orgrecon_pipeline.source.drilldown import drill_down
from orgrecon_pipeline.source.fingerprint import SideRows, fingerprint
from orgrecon_pipeline.source.session import Session
from orgrecon_pipeline.source.statements import ColumnType, Digest, EntityStatements

_DRIFTING, _CLEAN, _NULL = "drifting", "clean", "null"

# tenant, key, value; one difference of each kind, one between NULL and a value, and one row without a key.
_SOURCE = """
    ('drifting', 'same', 'x'), ('drifting', 'missing', 'x'), ('drifting', 'mismatched', 'x'),
    ('drifting', 'duplicate', 'x'), ('drifting', 'duplicate', 'x'), ('drifting', 'null only', NULL),
    ('clean', 'same', 'x'), ('clean', 'null', NULL), ('null', NULL, 'x')"""
_TARGET = """
    ('drifting', 'same', 'x'), ('drifting', 'unexpected', 'x'), ('drifting', 'mismatched', 'y'),
    ('drifting', 'duplicate', 'x'), ('drifting', 'null only', 'x'),
    ('clean', 'null', NULL), ('clean', 'same', 'x'), ('null', NULL, 'x')"""
_EXPECTED = {"missing": 1, "unexpected": 1, "mismatched": 2, "duplicate": 1}
_TEXT = ColumnType("text", collatable=True, native_equality=True)


def prove_eyes(session: Session, digest: Digest) -> None:
    """Compare the built-in pair in the open transaction.

    Raises:
        CannotDecide: unless exactly the known differences are found.
    """
    names = (TENANT_COLUMN, "key", "value")
    columns = {name: f"v.{name}" for name in names}

    def relation(rows: str) -> Relation:
        return Relation.model_validate({"from": f"(VALUES {rows}) AS v (tenant_id, key, value)", "columns": columns})

    entity = Entity(key=("key",), compare=("value",), source=(relation(_SOURCE),), target=(relation(_TARGET),))
    statements = EntityStatements("self-test", entity, dict.fromkeys(names, _TEXT), digest)
    seen = fingerprint(session, statements, clean_limit=10)
    found = drill_down(session, statements, {**seen.differing, **seen.clean})
    drifting = found.get(_DRIFTING)
    if (
        set(seen.differing) != {_DRIFTING}
        or set(seen.clean) != {_CLEAN, _NULL}
        or seen.null_keys != SideRows(1, 1)
        or set(found) != {_DRIFTING}
        or drifting is None
        or drifting.counts != _EXPECTED
    ):
        raise CannotDecide("the self-test did not find exactly the drift that it planted: do not trust this server")
