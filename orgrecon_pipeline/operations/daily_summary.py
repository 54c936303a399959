"""Summary of one day's drift, computed from the per-tenant rows of its deciding observation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orgrecon_pipeline.domain.drift_kinds import Counts, DriftKind
from orgrecon_pipeline.domain.evidence import FIGURES, Observation

if TYPE_CHECKING:
    import pandas as pd

_WORST_TENANTS = 20


@dataclass(frozen=True)
class DailySummary:
    """One day's drift, in keys.

    ``by_entity`` has one row per entity and the columns ``entity``, ``source_rows``, ``target_rows``, one per drift
    kind, and ``transient``. ``worst`` has one row per drifting tenant, most drift first, and the columns ``tenant``,
    one per drift kind, ``transient``, and ``drift`` (the sum over the kinds). ``drift`` maps each kind to its total.
    """

    by_entity: pd.DataFrame
    worst: pd.DataFrame
    drift: Counts[int]


def summarise(observation: Observation, tenant_drift: pd.DataFrame) -> DailySummary:
    """Summarise a day from its deciding observation and its per-tenant rows (see :meth:`Ledger.tenant_drift`)."""
    import pandas as pd

    kinds = [kind.value for kind in DriftKind]
    by_tenant = tenant_drift.groupby("tenant", sort=True)[[*kinds, "transient"]].sum()
    by_tenant["drift"] = by_tenant[kinds].sum(axis="columns")
    drifting = by_tenant[by_tenant["drift"] > 0].sort_values("drift", ascending=False, kind="stable")
    entities = [{"entity": name, **totals.model_dump()} for name, totals in observation.entities.items()]
    return DailySummary(
        by_entity=pd.DataFrame(entities, columns=["entity", *FIGURES]),
        worst=drifting.head(_WORST_TENANTS).reset_index(),
        drift=Counts({kind: int(tenant_drift[kind].sum()) for kind in kinds}),
    )
