"""Canonical JSON of the per-tenant breakdown, which is most of a record: a report can have ten thousand rows."""

from __future__ import annotations

from collections.abc import Sequence
from json.encoder import encode_basestring
from operator import attrgetter

from orgrecon_pipeline.domain.canonical import escaped
from orgrecon_pipeline.domain.evidence import TenantRow

_FIELDS = sorted(TenantRow.model_fields)
_ROW = "{" + ",".join(f'"{name}":%s' for name in _FIELDS) + "}"
# All other fields are numbers.
_ENTITY, _FIRST_SEEN, _TENANT = map(_FIELDS.index, ("entity", "first_seen", "tenant"))

_values_of = attrgetter(*_FIELDS)


def canonical_rows(rows: Sequence[TenantRow]) -> str:
    """Return what :func:`canonical_json` makes of the rows, in a third of the time."""
    return escaped(f"[{','.join(map(_canonical_row, rows))}]")


def _canonical_row(row: TenantRow) -> str:
    values = list(_values_of(row))
    values[_ENTITY] = encode_basestring(values[_ENTITY])
    values[_TENANT] = encode_basestring(values[_TENANT])
    first_seen = values[_FIRST_SEEN]
    values[_FIRST_SEEN] = f'"{first_seen}"' if first_seen else "null"
    return _ROW % tuple(values)
