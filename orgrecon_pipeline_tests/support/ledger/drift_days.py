"""Days with drifting keys in a ledger, appended as an observation appends them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import date
from typing import Any

from orgrecon_pipeline.domain.coverage import CoverageEvent
from orgrecon_pipeline.domain.drift.key import DriftingKey
from orgrecon_pipeline.domain.evidence import Observation, Sample, Verdict
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline.operations.observe.history import new_drift
from orgrecon_pipeline_tests.support.ledger.cases import observation, tenant_row, totals

ENTITIES = ("org_unit_memberships", "org_units")


def drifting(tenant: str, entity: str, key: str, *kinds: str) -> DriftingKey:
    """Return a drifting key of one column; in a mismatched one, the role differs."""
    return DriftingKey(tenant, entity, (key,), kinds, ("role",) if "mismatched" in kinds else ())


def observe(
    ledger: Ledger, day: date, keys: Iterable[DriftingKey], *, verdict: Verdict | None = None, left_out: int = 0,
    name: str = "", coverage: Iterable[CoverageEvent] = (), **changes: Any,
) -> Observation:
    """Append the observation of a day as ``observe`` does, and return it as it was stored."""
    keys = list(keys)
    counts = {entity: Counter(kind for key in keys if key.entity == entity for kind in key.kinds)
              for entity in ENTITIES}
    drifting_keys = Counter(key.entity for key in keys)
    compared = {"keys": {entity: {"drifting": number + left_out, "left_out": left_out}
                         for entity, number in drifting_keys.items()}}
    changes["compared"] = {**compared, **changes.get("compared", {})}
    new = observation(
        name or f"of {day}", day, verdict or (Verdict.FAIL if keys else Verdict.PASS),
        entities={entity: totals(10, **kinds) for entity, kinds in counts.items()}, **changes)
    samples = [Sample(tenant=key.tenant, entity=key.entity, kind=key.kinds[0], key={"id": key.key[0]}) for key in keys]
    rows = [tenant_row(tenant, entity, **Counter(
        kind for key in keys if (key.tenant, key.entity) == (tenant, entity) for kind in key.kinds))
        for tenant in sorted({key.tenant for key in keys}) for entity in ENTITIES]
    ledger.append(new, rows, samples, coverage, new_drift(ledger, new, keys) if new.verdict.decided else None)
    stored = ledger.observation(new.id)
    assert stored is not None
    return stored
