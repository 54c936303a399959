"""Fingerprints of a database, computed again with the seed and the method of an earlier comparison."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from orgrecon_pipeline.compare.engine import open_reader
from orgrecon_pipeline.compare.failures.cause import name_cause
from orgrecon_pipeline.compare.inspection import SqlWarning
from orgrecon_pipeline.compare.progress import periodic_progress
from orgrecon_pipeline.compare.queries.row_filter import RowFilter
from orgrecon_pipeline.compare.reader import Reader
from orgrecon_pipeline.compare.result import SnapshotPair
from orgrecon_pipeline.compare.scan.evidence import snapshot_fingerprints
from orgrecon_pipeline.domain.errors import CannotDecide
from orgrecon_pipeline.domain.integrity.snapshot_fingerprints import SnapshotFingerprints
from orgrecon_pipeline.domain.mapping.model import MappingConfig
from orgrecon_pipeline.postgres.deadline import Deadline
from orgrecon_pipeline.postgres.dsn import Endpoints
from orgrecon_pipeline.postgres.locks.give_way import give_way
from orgrecon_pipeline.postgres.moment import other_moment


@dataclass(frozen=True)
class Recomputed:
    """Fingerprints of the databases of a snapshot, their method, and warnings about SQL that may hide rows.

    ``other_moments`` says how a snapshot differs from the earlier one, if that is known. Its names are the sides, or
    ``database`` if both sides are in one.
    """

    snapshot: SnapshotPair
    method: str
    fingerprints: SnapshotFingerprints
    warnings: tuple[SqlWarning, ...]
    other_moments: dict[str, str]


def recompute(
    mapping: MappingConfig, endpoints: Endpoints, stored: SnapshotFingerprints, described: Mapping[str, Any], *,
    only: RowFilter | None = None,
    progress: Callable[[str], None] = lambda message: None, deadline: Deadline | None = None,
) -> Recomputed:
    """Compute fingerprints again, with the checks of a comparison. Raise CannotDecide if one of them fails.

    The native method is used if every server hashes as the server of the ``stored`` fingerprints did. ``only``
    restricts the rows that are read. ``described`` is what the record says about the databases.
    """

    def attempt(until: Deadline) -> Recomputed:
        reader = open_reader(mapping, endpoints, until, only)
        try:
            return _recompute(reader, stored, described, progress)
        except CannotDecide as failure:
            raise name_cause(reader.sessions, mapping, failure) from None
        finally:
            reader.close()

    deadline = deadline or Deadline(mapping.scan.deadline_seconds)
    return give_way(attempt, endpoints, mapping.scan, deadline, progress).result


def _recompute(
    reader: Reader, stored: SnapshotFingerprints, described: Mapping[str, Any], progress: Callable[[str], None]
) -> Recomputed:
    reader.choose_hash(stored)
    reader.run_preflight()
    reader.require_filter_values()
    with reader.snapshot() as snapshot:
        reader.require_unchanged()
        tenants = len(stored.tenants)
        reader.run_self_test(tenants)
        with periodic_progress(progress, lambda: f"fingerprints of both sides: {reader.rows}"):
            fingerprints = reader.read_fingerprints(tenants)
        reader.require_unchanged()
        probe = reader.read_probe()
        moments = {side: other_moment(session, getattr(snapshot, side), described.get(side, {}))
                   for side, session in reader.sessions.items()}
        if snapshot.source is snapshot.target:
            moments = {"database": moments["source"]}
    first, *others = (of_entity.tenants for of_entity in fingerprints.values())
    method = reader.row_hash.name
    return Recomputed(
        snapshot, method,
        snapshot_fingerprints(reader.row_hash.seed, probe, first.union(*others), {method: fingerprints}),
        reader.warnings, other_moments={side: problem for side, problem in moments.items() if problem})
