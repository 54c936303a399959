"""Cache of the shards that were decided while others failed, for the next attempt of the same day."""

from __future__ import annotations

from typing import Any

from orgrecon_pipeline.compare.preflight import current_identities
from orgrecon_pipeline.compare.result import Comparison
from orgrecon_pipeline.domain.databases import by_shard, pins_of
from orgrecon_pipeline.domain.errors import CannotDecide
from orgrecon_pipeline.domain.evidence import Observation
from orgrecon_pipeline.operations.context import Context
from orgrecon_pipeline.operations.observe.admission import Admission
from orgrecon_pipeline.operations.observe.pinned_databases import pinned_databases
from orgrecon_pipeline.postgres.dsn import Endpoints
from orgrecon_pipeline.version import __version__

# Settings that change what a comparison finds or shows.
_RESULT_SETTINGS = {
    "scan": ("settle_seconds", "rechecks", "max_replica_lag_seconds", "heartbeat"),
    "report": ("breakdown_limit", "sample_keys", "sample_values", "keep_keys"),
    "evidence": ("portable",),
}


def cached_shards(context: Context, admission: Admission, exact: bool) -> tuple[dict[str, Comparison], dict[str, str]]:
    """Return the shards decided since the last complete attempt of the day, and the observation that decided each."""
    comparisons: dict[str, Comparison] = {}
    decided_by: dict[str, str] = {}
    pinned = pinned_databases(context)
    # In the order of the ledger, because the times of the observations are from databases whose clocks differ.
    for observation in reversed(context.ledger.observations(admission.day)):
        if observation.tenants_scanned is not None or not _same_settings(context, admission, observation):
            break
        for name, text in context.ledger.shard_results(observation.id, exact).items():
            comparison = Comparison.from_json(text)
            pins = pins_of(by_shard({name: comparison.databases}))
            # Another database may have been accepted since then.
            if name not in comparisons and all(pinned.get(label, pin) == pin for label, pin in pins.items()):
                comparisons[name], decided_by[name] = comparison, observation.id
    return comparisons, decided_by


def database_has_changed(context: Context, endpoints: Endpoints, comparison: Comparison) -> bool:
    """Return whether the endpoints now lead to other databases than those compared; False if they do not answer."""
    settings = context.mapping.scan.model_copy(update={"heartbeat": None})
    try:
        now = current_identities(endpoints, settings).as_json_value()
    except CannotDecide:
        return False
    return pins_of(now) != pins_of(comparison.databases)


def _same_settings(context: Context, admission: Admission, observation: Observation) -> bool:
    """Return whether an earlier attempt would find and show the same as this one."""
    now: dict[str, Any] = context.mapping.model_dump(by_alias=True, exclude_none=True)
    compared = observation.compared
    return (
        observation.mapping_digest, observation.provenance, observation.orgrecon_version, compared.get("show", {})
    ) == (context.mapping.digest, admission.provenance, __version__, context.mapping.shown) and all(
        compared.get(section, {}).get(name) == now[section].get(name)
        for section, names in _RESULT_SETTINGS.items() for name in names)
