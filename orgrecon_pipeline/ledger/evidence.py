"""The evidence of all days at once: what the gate is decided from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Literal, NamedTuple

from sqlalchemy import BigInteger, case, cast, func, select

from orgrecon_pipeline.domain.day_decision import deciding_observation
from orgrecon_pipeline.domain.evidence import KINDS, Provenance, Verdict
from orgrecon_pipeline.domain.gate import DayEvidence
from orgrecon_pipeline.ledger.engine import Store
from orgrecon_pipeline.ledger.tables import entity, observation

# The columns of an observation but for `compared`, which is long and which no gate looks at.
_SEEN = [observation.c[name] for name in (
    "id", "day", "provenance", "verdict", "observed_at", "mapping_digest", "reason", "tenants_scanned")]

# SUM leaves out what is unknown, and the sum is then unknown as well; Postgres makes it a NUMERIC.
_DRIFT = (
    select(entity.c.observation.label("of"), *(
        case((func.count(entity.c[kind]) == func.count(), cast(func.sum(entity.c[kind]), BigInteger))).label(kind)
        for kind in KINDS
    )).group_by(entity.c.observation).subquery()
)


class _Seen(NamedTuple):
    id: str
    provenance: Provenance
    verdict: Verdict
    observed_at: datetime | None
    row: Any


def of_days(store: Store, until: date, same_day: Literal["latest", "worst"]) -> dict[date, DayEvidence]:
    """What decides each day up to ``until``, earliest day first."""
    statement = select(*_SEEN, _DRIFT).outerjoin_from(
        observation, _DRIFT, _DRIFT.c.of == observation.c.number
    ).where(observation.c.day <= until).order_by(observation.c.day)
    by_day: dict[date, list[_Seen]] = defaultdict(list)
    with store.reading() as connection:
        for row in connection.execute(statement):
            by_day[row.day].append(
                _Seen(row.id, Provenance(row.provenance), Verdict(row.verdict), row.observed_at, row))
    return {day: _evidence(day, seen, same_day) for day, seen in by_day.items()}


def _evidence(day: date, seen: list[_Seen], same_day: Literal["latest", "worst"]) -> DayEvidence:
    decides = deciding_observation(seen, same_day)
    assert isinstance(decides, _Seen)  # noqa: S101 - there is at least one, and it is one of ours
    return DayEvidence(
        day=day,
        verdict=decides.verdict,
        provenance=decides.provenance,
        mapping_digest=decides.row.mapping_digest,
        saw_a_tenant=any(one.provenance.real and one.row.tenants_scanned for one in seen),
        reason=decides.row.reason,
        drift=_drift(decides.row),
    )


def _drift(row: Any) -> Mapping[str, int | None]:
    if row.of is None:  # an observation without entities
        return dict.fromkeys(KINDS, 0)
    return {kind: getattr(row, kind) for kind in KINDS}
