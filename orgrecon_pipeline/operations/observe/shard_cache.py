"""What single shards were found to hold while others of the same attempt failed: kept for the next one of the day."""

from __future__ import annotations

from typing import Any

from orgrecon_pipeline.compare.database_identities import current_identities
from orgrecon_pipeline.compare.result import Comparison
from orgrecon_pipeline.domain.errors import CannotDecide
from orgrecon_pipeline.domain.evidence import Observation
from orgrecon_pipeline.operations.context import Context
from orgrecon_pipeline.operations.observe.admission import Admission
from orgrecon_pipeline.operations.observe.pinned_databases import by_shard, pinned_databases, pins_of
from orgrecon_pipeline.postgres.dsn import Endpoints
from orgrecon_pipeline.version import __version__

# Settings under which another result would have been found, or another one shown.
_DECISIVE = {
    "scan": ("settle_seconds", "rechecks", "max_replica_lag_seconds", "heartbeat"),
    "report": ("breakdown_limit", "sample_keys", "sample_values"),
}


def store_decided_shards(context: Context, observation: Observation, decided: dict[str, Comparison], *, exact: bool) -> None:
    """Keep what was found in some shards while others failed, for the next attempt of the day."""
    for name, comparison in sorted(decided.items()):
        context.ledger.keep_shard(observation.id, name, exact, comparison.as_json_value())


def cached_shards(
    context: Context, admission: Admission, exact: bool
) -> tuple[dict[str, Comparison], dict[str, str]]:
    """What attempts of this day since the last complete one found in single shards, and which attempt it was."""
    found: dict[str, Comparison] = {}
    attempt: dict[str, str] = {}
    pinned = pinned_databases(context)
    # Not by their moments: those are of several databases, whose clocks differ.
    for seen in reversed(context.ledger.as_appended(admission.day)):
        if seen.tenants_scanned is not None or not _alike(context, admission, seen):
            break
        for name, value in context.ledger.shards(seen.id, exact).items():
            comparison = Comparison.from_json_value(value)
            pins = pins_of(by_shard({name: comparison.databases}))
            # Another database may have been accepted since.
            if name not in found and all(pinned.get(label, pin) == pin for label, pin in pins.items()):
                found[name], attempt[name] = comparison, seen.id
    return found, attempt


def database_has_changed(context: Context, places: Endpoints, found: Comparison) -> bool:
    """Whether other databases answer now than those that were compared. Where nobody does, what was found stands."""
    settings = context.mapping.scan.model_copy(update={"heartbeat": None})
    try:
        now = current_identities(places, settings).as_json_value()
    except CannotDecide:
        return False
    return pins_of(now) != pins_of(found.databases)


def _alike(context: Context, admission: Admission, seen: Observation) -> bool:
    """Whether an attempt was made under the rules of this one."""
    now: dict[str, Any] = context.mapping.model_dump(by_alias=True, exclude_none=True)
    return (seen.mapping_digest, seen.provenance, seen.orgrecon_version) == (
        context.mapping.digest, admission.provenance, __version__
    ) and all(
        seen.compared.get(part, {}).get(name) == now[part].get(name)
        for part, names in _DECISIVE.items() for name in names
    )
