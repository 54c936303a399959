"""Summary of one day's drift, computed from its deciding observation and that observation's per-tenant rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orgrecon_pipeline.domain.drift.kinds import Counts, DriftKind
from orgrecon_pipeline.domain.evidence import FIGURES, Observation

if TYPE_CHECKING:
    import pandas as pd

_WORST_TENANTS = 20
_KINDS = [kind.value for kind in DriftKind]

#: The columns of the table of tenants.
TENANT_COLUMNS = ("tenant", *_KINDS, "transient", "drift")


@dataclass(frozen=True)
class DailySummary:
    """One day's drift, in keys.

    ``by_entity`` has one row per entity, with its name (``entity``) and the figures of :data:`FIGURES`. ``worst`` has
    one row per drifting tenant, most drift first, and the columns :data:`TENANT_COLUMNS`, of which ``drift`` is the sum
    over the kinds; it is None if no tenant drifts. ``drift`` maps each kind to its total.
    """

    by_entity: Sequence[Mapping[str, Any]]
    worst: pd.DataFrame | None
    drift: Counts[int]


def summarise(observation: Observation, tenant_drift: Callable[[str], pd.DataFrame]) -> DailySummary:
    """Summarise a day from its deciding observation; ``tenant_drift`` is :meth:`Ledger.tenant_drift`."""
    by_entity = [{"entity": name, **{figure: getattr(totals, figure) for figure in FIGURES}}
                 for name, totals in observation.entities.items()]
    if not observation.tenants_with_drift:  # without a table of tenants, pandas need not be imported
        return DailySummary(by_entity, None, Counts.zero())
    frame = tenant_drift(observation.id)
    by_tenant = frame.groupby("tenant", sort=True)[[*_KINDS, "transient"]].sum()
    by_tenant["drift"] = by_tenant[_KINDS].sum(axis="columns")
    drifting = by_tenant[by_tenant["drift"] > 0].sort_values("drift", ascending=False, kind="stable")
    return DailySummary(by_entity, drifting.head(_WORST_TENANTS).reset_index(),
                        Counts({kind: int(frame[kind].sum()) for kind in _KINDS}))
