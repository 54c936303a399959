"""Ad-hoc comparison of one tenant, by the statements of a day's comparison. It stores nothing and is no evidence."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from orgrecon_pipeline.compare.engine import compare
from orgrecon_pipeline.compare.queries.row_filter import RowFilter
from orgrecon_pipeline.compare.result import Comparison, SnapshotPair
from orgrecon_pipeline.config.settings import Settings
from orgrecon_pipeline.domain.databases import UNSHARDED
from orgrecon_pipeline.domain.errors import CannotDecide, UsageError
from orgrecon_pipeline.domain.identity import Identity
from orgrecon_pipeline.domain.mapping.model import SIDES, Entity, MappingConfig
from orgrecon_pipeline.domain.reasons import ReasonCode, counted
from orgrecon_pipeline.domain.record import instant_text
from orgrecon_pipeline.operations.context import read_endpoints
from orgrecon_pipeline.operations.observe import shard_merge
from orgrecon_pipeline.operations.observe.shard_runner import Progress, ShardRunner, ShardsUndecided, size_of
from orgrecon_pipeline.postgres.deadline import Deadline
from orgrecon_pipeline.postgres.dsn import Endpoints


class DiffResult(str, Enum):
    """Whether the compared rows are the same on both sides."""

    EQUAL = "equal"
    DIFFERENT = "different"
    NOT_DECIDED = "not_decided"


@dataclass(frozen=True)
class DiffRequest:
    """What to compare.

    Attributes:
        tenant: the tenant, as text.
        entity: the entity to compare; None for all that have the columns of ``key``.
        key: the values to compare, as text, by column of the key.
        values: whether to show the values of differing columns, in addition to what the mapping asks for.
        limit: keys to list per entity and kind.
    """

    tenant: str
    entity: str | None = None
    key: Mapping[str, str] = field(default_factory=dict)
    values: bool = False
    limit: int = 100


@dataclass(frozen=True)
class Diff:
    """Result of an ad-hoc comparison. ``comparison`` is None if it could not be completed."""

    identity: Identity
    request: DiffRequest
    result: DiffResult
    reason: str
    comparison: Comparison | None = None

    @property
    def shards(self) -> list[str]:
        """Names of the shards that have rows of the tenant."""
        return [name for name, part in self.comparison.shards.items() if part.present] if self.comparison else []

    @property
    def not_listed(self) -> int:
        """Number of drifting keys beyond the limit."""
        if self.comparison is None:
            return 0
        listed = {(sample.entity, *sample.key.values()) for sample in self.comparison.samples}  # one key, two kinds
        return self.comparison.keys.drifting.total() - len(listed)

    @property
    def mismatched_columns(self) -> dict[str, dict[str, int]]:
        """Number of mismatched keys by entity and differing column."""
        return self.comparison.keys.facts()["mismatched_columns"] if self.comparison else {}

    @property
    def warnings(self) -> list[str]:
        """Warnings about the SQL of the mapping."""
        return [str(warning["text"]) for warning in self.comparison.how["warnings"]] if self.comparison else []

    def as_json_value(self) -> dict[str, Any]:
        """Return the result as JSON values."""
        comparison = self.comparison
        return {
            **self.identity.as_json_value(), "evidence": False, "tenant": self.request.tenant,
            "key": dict(self.request.key), "result": self.result.value, "reason": self.reason,
            "observed_at": instant_text(comparison.observed_at) if comparison else None, "shards": self.shards,
            "entities": {
                name: totals.model_dump() for name, totals in comparison.totals.items()} if comparison else {},
            "keys": [sample.model_dump(mode="json", exclude={"tenant", "first_seen", "state"})
                     for sample in comparison.samples] if comparison else [],
            "keys_not_listed": self.not_listed, "mismatched_columns": self.mismatched_columns,
            "warnings": self.warnings,
        }


def diff(settings: Settings, request: DiffRequest, progress: Progress = lambda line: None) -> Diff:
    """Compare the rows of one tenant now.

    Raises:
        UsageError: if the entity or a column of the key does not exist, or a text is not a value of its column.
        ConfigurationError: if the mapping or the environment cannot be used, or the tenant is in two shards.
    """
    mapping = settings.mapping
    identity = mapping.identity(settings.environment)
    endpoints = read_endpoints(mapping, settings.environ)
    narrowed = _narrowed(mapping, request, one_database=all(shard.one_database for shard in endpoints.values()))
    try:
        comparison = _compare(narrowed, endpoints, RowFilter(request.tenant, request.key), progress)
    except CannotDecide as failure:
        return Diff(identity, request, DiffResult.NOT_DECIDED, f"{failure.reason.sentence}.")
    return Diff(identity, request, *_decide(request, comparison), comparison)


def _narrowed(mapping: MappingConfig, request: DiffRequest, *, one_database: bool) -> MappingConfig:
    """Return the mapping with the entities and settings of an ad-hoc comparison."""
    report = mapping.report.model_copy(update={
        "sample_keys": request.limit, "sample_values": mapping.report.sample_values or request.values,
        "keep_keys": 0})
    # Both sides of one database are in one snapshot, and the rechecks would take many times as long.
    scan = mapping.scan.model_copy(update={"rechecks": 0} if one_database else {})
    return mapping.model_copy(update={
        "entities": _entities(mapping, request), "tenants": None, "report": report, "scan": scan})


def _entities(mapping: MappingConfig, request: DiffRequest) -> dict[str, Entity]:
    for text in (request.tenant, *request.key.values()):
        if not text.isascii() and text.encode("utf-8", "replace").decode() != text:
            raise UsageError(f"{text!a} is not valid UTF-8: correct the encoding of the terminal.")
    entities = mapping.entities
    if request.entity is not None:
        if request.entity not in entities:
            raise UsageError(f"{request.entity!a} is not an entity of the mapping: use {' or '.join(entities)}.")
        entities = {request.entity: entities[request.entity]}
    chosen = {name: entity for name, entity in entities.items() if request.key.keys() <= set(entity.key)}
    if not chosen:
        keys = "; ".join(f"{name} has {', '.join(entity.key)}" for name, entity in entities.items())
        raise UsageError(f"no entity has {' and '.join(map(ascii, request.key))} in its key: {keys}.")
    return chosen


def _compare(
    mapping: MappingConfig, endpoints: dict[str, Endpoints], only: RowFilter, progress: Progress
) -> Comparison:
    def require_current(snapshot: SnapshotPair) -> None:
        for side in SIDES:
            if lag := getattr(snapshot, side).lag(mapping.scan.max_replica_lag_seconds):
                raise CannotDecide(f"{side}: {lag}", ReasonCode.REPLICA_LAG)

    def compare_shard(name: str, say: Progress, deadline: Deadline) -> Comparison:
        return compare(mapping, endpoints[name], only=only, admit=require_current, progress=say, deadline=deadline)

    if endpoints.keys() == {UNSHARDED}:
        return compare_shard(UNSHARDED, progress, Deadline(mapping.scan.deadline_seconds))
    started = time.monotonic()
    comparisons, failures = ShardRunner(mapping.scan, compare_shard, progress, size_of).run(list(endpoints))
    shard_merge.refuse_shared_tenants(comparisons)
    if failures:
        raise ShardsUndecided(failures, {})
    return shard_merge.merge_shards(mapping, comparisons, {}, time.monotonic() - started)


def _decide(request: DiffRequest, comparison: Comparison) -> tuple[DiffResult, str]:
    if keys := comparison.keys.drifting.total():
        return DiffResult.DIFFERENT, f"{counted(keys, 'key')} {'differs' if keys == 1 else 'differ'}."
    if comparison.keys_in_flux:
        return DiffResult.NOT_DECIDED, (
            f"{counted(comparison.keys_in_flux, 'key')} changed at every read on both sides: run the command again.")
    if not (rows := sum(totals.rows or 0 for totals in comparison.totals.values())):
        return DiffResult.NOT_DECIDED, _no_rows(request, comparison)
    return DiffResult.EQUAL, f"All rows are equal ({counted(rows, 'row')} of both sides compared)."


def _no_rows(request: DiffRequest, comparison: Comparison) -> str:
    """Return why nothing was compared. A typing error must not look like equality."""
    key = ", ".join(f"{column} {text!a}" for column, text in request.key.items())
    row = f"row with {key} " if key else "row "
    return (f"Neither side has a {row}of tenant {request.tenant!a} in {' or '.join(comparison.totals)}, so nothing was "
            "compared: check the spelling.")
