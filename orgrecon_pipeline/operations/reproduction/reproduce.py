"""Show that a database, such as a restored backup, holds the rows that an observation compared. Writes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from enum import Enum
from typing import Any

from orgrecon_pipeline.compare.inspection import SqlWarning
from orgrecon_pipeline.compare.queries.row_filter import RowFilter
from orgrecon_pipeline.compare.recompute import Recomputed, recompute
from orgrecon_pipeline.compare.statement_facts import CHANCE, ROLE, SETTING, TIME
from orgrecon_pipeline.config.settings import Settings
from orgrecon_pipeline.domain.databases import UNSHARDED, by_shard
from orgrecon_pipeline.domain.errors import CannotDecide, UsageError
from orgrecon_pipeline.domain.evidence import Observation, Verdict
from orgrecon_pipeline.domain.identity import Identity
from orgrecon_pipeline.domain.integrity.redaction import is_pseudonym
from orgrecon_pipeline.domain.integrity.reproduction import Compared, TenantDifference, compare_fingerprints
from orgrecon_pipeline.domain.integrity.snapshot_fingerprints import SnapshotFingerprints
from orgrecon_pipeline.domain.mapping.model import ScanSettings
from orgrecon_pipeline.domain.reasons import counted
from orgrecon_pipeline.domain.record import instant_text
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline.operations.context import Context
from orgrecon_pipeline.operations.observe.shard_runner import Progress, ReadShard, ShardRunner, ShardsUndecided
from orgrecon_pipeline.operations.own_ledger import deciding_observation, existing_ledger
from orgrecon_pipeline.operations.reproduction.compared_mapping import mapping_as_compared
from orgrecon_pipeline.operations.reproduction.differing_keys import DifferingKey, differing_keys, other_database
from orgrecon_pipeline.postgres.deadline import Deadline
from orgrecon_pipeline.postgres.dsn import Endpoint

# Warnings about SQL that can read other rows of the same database in another run.
_UNSTABLE = (SETTING, ROLE, TIME, CHANCE)


class ReproductionResult(str, Enum):
    """Whether the database holds the rows of the observation."""

    SAME = "same"
    DIFFERENT = "different"
    NOT_DECIDED = "not_decided"


@dataclass(frozen=True)
class Reproduction:
    """Result of a reproduction.

    ``databases`` describes what was read, in the form of the record. ``keys`` are those that differ from another
    database, as far as they were asked for; ``keys_unknown`` says why keys are not listed.
    """

    identity: Identity
    observation: Observation
    result: ReproductionResult
    reason: str
    method: str | None = None
    databases: dict[str, Any] = field(default_factory=dict)
    tenants: int | None = None
    rows: int | None = None
    differences: tuple[TenantDifference, ...] = ()
    keys: tuple[DifferingKey, ...] = ()
    keys_unknown: str = ""
    warnings: tuple[SqlWarning, ...] = ()

    @property
    def differing_tenants(self) -> int:
        """Number of tenants that differ."""
        return len({difference.tenant for difference in self.differences})

    def as_json_value(self) -> dict[str, Any]:
        """Return the result as JSON values."""
        observation = self.observation
        return {
            **self.identity.as_json_value(), "day": observation.day.isoformat(), "observation": observation.id,
            "verdict": observation.verdict.value, "provenance": observation.provenance.value,
            "observed_at": instant_text(observation.observed_at), "result": self.result.value, "reason": self.reason,
            "method": self.method, "databases": self.databases, "tenants": self.tenants, "rows": self.rows,
            "differences": [difference._asdict() for difference in self.differences],
            "keys": [key._asdict() for key in self.keys], "keys_unknown": self.keys_unknown,
            "warnings": [str(warning["text"]) for warning in self.warnings],
        }


def open_for_reading(settings: Settings) -> Context:
    """Return the context of a reproduction, with an existing ledger.

    Raises:
        UsageError: if there is no ledger.
        ConfigurationError: if the mapping or the ledger cannot be used.
    """
    ledger = existing_ledger(settings, settings.mapping)
    if ledger is None:
        raise UsageError("there is no ledger: check ORGRECON_LEDGER_URL.")
    return Context(settings.mapping, ledger, settings.output_dir, environ=settings.environ)


def reproduce(
    context: Context, day: date | None = None, *, observation_id: str | None = None, tenants: Sequence[str] = (),
    against: str | None = None, progress: Progress = lambda line: None,
) -> Reproduction:
    """Compute the fingerprints of an observation again, by default of the deciding one of the day.

    Args:
        context: the context of the operation.
        day: the day of the observation; by default the latest day with evidence.
        observation_id: the id of another observation of the day.
        tenants: the tenants to compare; by default all.
        against: environment variable of another database, to list the keys of differing tenants that differ there.
        progress: receives progress lines.

    Raises:
        UsageError: if there is no such observation, or a tenant is not a value of its column's type.
        ConfigurationError: if the ledger, the mapping or the environment cannot be used.
    """
    observation = _chosen(context, day, observation_id)
    try:
        stored = _stored(context.ledger, observation)
        as_compared = replace(context, mapping=mapping_as_compared(observation, context.mapping))
        other = None if against is None else other_database(as_compared, against)
        result = _reproduce(as_compared, observation, stored, tuple(dict.fromkeys(tenants)), progress)
    except CannotDecide as failure:
        return Reproduction(
            context.ledger.identity, observation, ReproductionResult.NOT_DECIDED, f"{failure.reason.sentence}.")
    if other is None or result.result is not ReproductionResult.DIFFERENT:
        return result
    return _with_keys(as_compared, result, other, progress)


def _with_keys(context: Context, result: Reproduction, other: Endpoint, progress: Progress) -> Reproduction:
    """Return a result with the keys that differ in another database, or why they are not listed."""
    redacted = {difference.tenant for difference in result.differences if is_pseudonym(difference.tenant)}
    named = [difference for difference in result.differences if difference.tenant not in redacted]
    try:
        keys = tuple(differing_keys(context, named, other, progress))
    except (CannotDecide, UsageError) as failure:  # the other database may be unable to have such a tenant
        return replace(result, keys_unknown=f"the keys cannot be compared: {str(failure).rstrip('.')}.")
    number = len(redacted)
    return replace(result, keys=keys, keys_unknown="" if not redacted else (
        f"the keys of {counted(number, 'redacted tenant')} are not listed, because the ledger no longer has "
        f"{'its name' if number == 1 else 'their names'}."))


def _chosen(context: Context, day: date | None, observation_id: str | None) -> Observation:
    ledger = context.ledger
    if observation_id is not None:
        chosen = ledger.observation(observation_id)
        if chosen is None or day not in (None, chosen.day):
            raise UsageError(f"--observation {observation_id[:80]!a} is not in the ledger"
                             f"{f' on {day}' if day else ''}: the report of the day lists its observations.")
        return chosen
    return deciding_observation(ledger, day)


def _stored(ledger: Ledger, observation: Observation) -> dict[str, SnapshotFingerprints]:
    """Return the fingerprints of an observation by shard; raise CannotDecide if there are none, or others."""
    stored = ledger.fingerprints(observation.id)
    if not stored:
        raise CannotDecide(_why_none(observation))
    recorded = _described_shards(observation)
    if recorded.keys() != stored.keys() or any(
            recorded[name].get("fingerprints") != of_shard.facts() for name, of_shard in stored.items()):
        raise CannotDecide("the stored fingerprints are not those of the observation's record: run orgrecon verify "
                           "--ledger")
    return stored


def _described_shards(observation: Observation) -> dict[str, dict[str, Any]]:
    """Return what the record says about each shard."""
    described: dict[str, dict[str, Any]] = observation.compared.get("shards", {UNSHARDED: observation.compared})
    return described


def _why_none(observation: Observation) -> str:
    if not observation.provenance.compared:
        return "the observation is a baseline, which compared no rows: there is nothing to reproduce"
    if observation.verdict is Verdict.INCONCLUSIVE:
        return "the observation is INCONCLUSIVE and no comparison was completed: there is nothing to reproduce"
    return ("the ledger has no fingerprints of the observation, because it was imported from a report: use the ledger "
            "that made it")


def _reproduce(
    context: Context, observation: Observation, stored: dict[str, SnapshotFingerprints], tenants: tuple[str, ...],
    progress: Progress,
) -> Reproduction:
    endpoints = context.endpoints()
    if endpoints.keys() != stored.keys():
        raise CannotDecide("the fingerprints were stored for other shards than those of the mapping: name the mapping "
                           "file of that day with --mapping")
    # One tenant is read through an index; for several, everything is read in one snapshot.
    only = RowFilter(tenants[0]) if len(tenants) == 1 else None
    described = _described_shards(observation)

    def read_shard(shard: str, say: Progress, deadline: Deadline) -> Recomputed:
        return recompute(
            context.mapping, endpoints[shard], stored[shard], described[shard], only=only, progress=say,
            deadline=deadline)

    read = _read_shards(context.mapping.scan, read_shard, sorted(stored), progress)
    parts = [
        compare_fingerprints(stored[shard], of_shard.fingerprints, of_shard.method, tenants)
        for shard, of_shard in read.items()]
    compared = Compared([difference for part in parts for difference in part.differences],
                        sum(part.tenants for part in parts), sum(part.rows for part in parts))
    warnings = {warning["text"]: warning for recomputed in read.values() for warning in recomputed.warnings}
    result, reason = _decide(observation, compared, tenants, list(warnings.values()))
    moments = [f"the {side}{f' of shard {shard}' if shard else ''} {problem}" for shard, of_shard in read.items()
               for side, problem in of_shard.other_moments.items()]
    if compared.differences and moments:
        reason = f"{reason} This is another moment: {'; '.join(moments)}."
    return Reproduction(
        context.ledger.identity, observation, result, reason,
        method=" and ".join(sorted({recomputed.method for recomputed in read.values()})),
        databases=by_shard({shard: recomputed.snapshot.as_json_value() for shard, recomputed in read.items()}),
        tenants=compared.tenants, rows=compared.rows, differences=tuple(compared.differences),
        warnings=tuple(warnings.values()))


def _read_shards(
    scan: ScanSettings, read_shard: ReadShard[Recomputed], shards: list[str], progress: Progress
) -> dict[str, Recomputed]:
    if shards == [UNSHARDED]:
        return {UNSHARDED: read_shard(UNSHARDED, progress, Deadline(scan.deadline_seconds))}
    read, failures = ShardRunner(
        scan, read_shard, progress, lambda of_shard: counted(len(of_shard.fingerprints.tenants), "tenant")).run(shards)
    if failures:
        raise ShardsUndecided(failures, {})
    return {shard: read[shard] for shard in shards}


def _decide(
    observation: Observation, compared: Compared, tenants: tuple[str, ...], warnings: list[SqlWarning]
) -> tuple[ReproductionResult, str]:
    names = {difference.tenant for difference in compared.differences}
    number = compared.tenants
    tenants_differ = f"{len(names)} of {counted(number, 'tenant')} {'differs' if len(names) == 1 else 'differ'}"
    unstable = [warning for warning in warnings if warning["code"] in _UNSTABLE]
    if names and unstable:
        return ReproductionResult.NOT_DECIDED, (
            f"{tenants_differ}, but the mapping can read other rows of the same database: {unstable[0]['text']}.")
    if names:
        return ReproductionResult.DIFFERENT, f"{tenants_differ} from observation {observation.id}."
    if len(tenants) > number:
        return ReproductionResult.NOT_DECIDED, (
            f"{number} of {counted(len(tenants), 'named tenant')} had a row then or has one now: check the spelling.")
    return ReproductionResult.SAME, (
        f"The same rows, bit for bit: {counted(number, 'tenant')}, {counted(compared.rows, 'row')} of both sides, of "
        f"the snapshot of {instant_text(observation.observed_at)}.")
