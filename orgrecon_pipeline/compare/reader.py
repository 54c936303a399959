"""Base of the readers, which offer the same operations on one database and on two."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace

from orgrecon_pipeline.compare.catalog import read_declared_tenants
from orgrecon_pipeline.compare.inspection import SqlWarning, context_warning
from orgrecon_pipeline.compare.keys.key_rows import KeyWithHash
from orgrecon_pipeline.compare.keys.recheck import EarlierReads
from orgrecon_pipeline.compare.keys.tracked_keys import Drift, TrackedKeys
from orgrecon_pipeline.compare.preflight import require_values
from orgrecon_pipeline.compare.progress import RowCounter
from orgrecon_pipeline.compare.queries.row_filter import RowFilter
from orgrecon_pipeline.compare.queries.row_hash import RowHash
from orgrecon_pipeline.compare.queries.statements import EntityStatements, hash_probe
from orgrecon_pipeline.compare.result import SnapshotPair
from orgrecon_pipeline.compare.row_writes import RowWrites
from orgrecon_pipeline.compare.samples.context import read_context
from orgrecon_pipeline.compare.samples.first_keys import SampledKey
from orgrecon_pipeline.compare.samples.values import Values, read_values
from orgrecon_pipeline.compare.scan.fingerprints import Fingerprints, require_drift_found
from orgrecon_pipeline.domain.drift.kinds import DriftKind
from orgrecon_pipeline.domain.errors import CannotDecide
from orgrecon_pipeline.domain.evidence import Sample
from orgrecon_pipeline.domain.integrity.snapshot_fingerprints import SnapshotFingerprints
from orgrecon_pipeline.domain.mapping.model import MappingConfig
from orgrecon_pipeline.domain.tenant_names import TenantNames
from orgrecon_pipeline.postgres.session import Session

# Rows of all tables by the server's statistics. With fewer, no joined table exceeds the caches of a processor.
_MANY_ROWS = 1_000_000


class Reader(ABC):
    """Reads both sides. Every method raises CannotDecide if it fails.

    All methods except :meth:`run_preflight` and :meth:`close` need an open snapshot. ``sessions`` holds one session for
    each side; both are the same if one database holds both sides.
    """

    statements: dict[str, EntityStatements]
    #: About SQL that may hide rows; known after :meth:`run_preflight`.
    warnings: tuple[SqlWarning, ...]
    #: As in :class:`SqlInspection`; known after :meth:`run_preflight`.
    opaque_functions: bool

    def __init__(
        self, mapping: MappingConfig, sessions: dict[str, Session], row_hash: RowHash, only: RowFilter | None
    ) -> None:
        self.mapping, self.sessions, self.row_hash, self.only = mapping, sessions, row_hash, only
        self.rows = RowCounter()
        self._row_writes = RowWrites()
        self._earlier: dict[str, EarlierReads] = {}

    @property
    def distributed(self) -> frozenset[str]:
        """The sides whose database has Citus; known after the first transaction."""
        return frozenset(side for side, session in self.sessions.items() if session.citus_version)

    @abstractmethod
    def run_preflight(self) -> int:
        """Run the preflight checks, and return the number of tables that the mapping reads."""

    def require_filter_values(self) -> None:
        """Raise UsageError if a text of the row filter is not a value of its column's type. Needs no open snapshot."""
        if self.only:
            for session in dict.fromkeys(self.sessions.values()):
                with session.transaction():
                    for statements in self.statements.values():
                        require_values(session, statements, self.only)

    @abstractmethod
    def snapshot(self) -> AbstractContextManager[SnapshotPair]:
        """Open a snapshot of the databases that the preflight checks read."""

    @abstractmethod
    def run_self_test(self, tenants: int) -> None:
        """Run the self-test with the statements that are used for that many tenants."""

    @abstractmethod
    def require_unchanged(self) -> None:
        """Require that no table was altered or replaced since the preflight checks."""

    def read_declared_tenants(self) -> TenantNames | None:
        """Return the declared universe; None if the mapping has none."""
        return read_declared_tenants(self.sessions["source"], self.mapping.tenants)

    def read_fingerprints(self, tenants: int) -> dict[str, Fingerprints]:
        """Return the fingerprints by entity. ``tenants`` is their approximate number, which affects the method."""
        return self._read_fingerprints(self.statements, tenants)

    def read_portable(self, tenants: int) -> dict[str, Fingerprints]:
        """Return the fingerprints with the portable hash, by another scan of the same snapshot."""
        portable = RowHash(native=False, seed=self.row_hash.seed)
        return self._read_fingerprints(
            {name: replace(statements, row_hash=portable) for name, statements in self.statements.items()}, tenants)

    @abstractmethod
    def _read_fingerprints(
        self, statements: Mapping[str, EntityStatements], tenants: int
    ) -> dict[str, Fingerprints]: ...

    def _tenants_of_joins(self, tenants: int) -> int:
        """Return the number of tenants by which a scan chooses the memory of its joins; 0 if it need not choose."""
        return tenants if self.rows.expected >= _MANY_ROWS else 0

    def read_probe(self) -> str | None:
        """Return the native hash of a fixed row and the server's encoding; None if the hash is not native."""
        if not self.row_hash.native:
            return None
        return _read_probe(self.sessions["source"], self.row_hash)

    def choose_hash(self, stored: SnapshotFingerprints) -> None:
        """Choose the row hash of stored fingerprints that all servers compute as it was. Needs no open snapshot.

        Raise CannotDecide if there is none.
        """
        native = RowHash(native=True, seed=stored.seed)
        probes = {}
        for side, session in self.sessions.items():
            with session.transaction():
                probes[side] = _read_probe(session, native)
        if stored.probe is not None and set(probes.values()) == {stored.probe}:
            self.row_hash = native
        elif "portable" in stored.methods:
            self.row_hash = RowHash(native=False, seed=stored.seed)
        else:
            now, then = (str(probe).rpartition(" ")[2] for probe in (probes["source"], stored.probe))
            encodings = f" (its encoding is {now}, and was {then})" if now != then else ""
            raise CannotDecide(
                f"this server hashes rows differently from that of the observation{encodings}, and no portable digest "
                "was stored (evidence.portable in the mapping): restore to a server with the same encoding, "
                "architecture and PostgreSQL version")

    def find_drift(self, fingerprints: dict[str, Fingerprints], *, exact: bool) -> Drift:
        """Return all drifting keys of the tenants whose fingerprints differ; with ``exact``, of all tenants."""
        drift = self._find_drift(fingerprints, exact=exact)
        for name, statements in self.statements.items():
            require_drift_found(name, fingerprints[name], drift[name], consistent_hash=statements.consistent_row_hash)
        return drift

    @abstractmethod
    def _find_drift(self, fingerprints: dict[str, Fingerprints], *, exact: bool) -> Drift: ...

    def recheck(self, tracked: Drift, confirmed: Drift) -> Drift:
        """Return the tracked keys that still drift, and keys that one of them may have become, as in flux.

        If a key can be written differently without becoming another key, and a tracked key is gone, all keys of its
        tenant that drift now are tracked, except those that are already ``confirmed``.
        """
        drift = self._recheck(tracked)
        for name, tenants in drift.items():
            if self.statements[name].respellable_keys:
                became = {tenant: tracked[name][tenant].may_have_become(now, confirmed[name].get(tenant))
                          for tenant, now in tenants.items()}
                drift[name] = {tenant: keys for tenant, keys in became.items() if keys}
        return drift

    @abstractmethod
    def _recheck(self, tracked: Drift) -> Drift: ...

    def _reads_keys_at_once(self, name: str, tracked: dict[str, TrackedKeys]) -> bool:
        """Return whether a recheck reads the tracked keys at once, without a scan that selects written tenants."""
        all_rows = sum(earlier.extent.rows for earlier in self._earlier.values())
        return self.statements[name].traceable_keys and self._earlier[name].were_written(
            tracked, self._row_writes.since_last, all_rows)

    def has_rows(self, name: str, side: str) -> bool:
        """Return whether one side of an entity has any row."""
        return bool(self.sessions[side].query(self.statements[name].has_rows(side), name)[0]["has_rows"])

    @abstractmethod
    def read_keys(self, name: str, drift: dict[str, TrackedKeys]) -> Iterator[KeyWithHash]:
        """Yield the given drifting keys of one entity. Nothing else may be read meanwhile."""

    def with_values(self, name: str, sampled: list[SampledKey]) -> list[SampledKey]:
        """Return the samples, mismatched keys with the values of the columns that differ."""
        statements = self.statements[name]
        chosen = {key.key_hash: key.tenant for key in sampled if key.sample.kind == DriftKind.MISMATCHED}
        if not chosen or not statements.entity.compare:
            return sampled
        values = read_values(self.sessions, statements, set(chosen.values()), list(chosen))

        def shown(key: SampledKey) -> Values | None:
            of_key = values.get(key.key_hash, {})
            return {column: of_key[column] for column in key.sample.columns if column in of_key} or None

        return [replace(key, sample=key.sample.model_copy(update={"values": shown(key)})) for key in sampled]

    def with_context(self, name: str, sampled: list[SampledKey]) -> list[Sample]:
        """Return the samples with their context columns; without them and with a warning if they cannot be read."""
        if not sampled or not self.statements[name].entity.show:
            return [key.sample for key in sampled]
        tenants, keys = {key.tenant for key in sampled}, [key.key_hash for key in sampled]
        context = read_context(self.sessions, self.statements[name], tenants, keys)
        self.warnings += tuple(context_warning(f"{name}.{side}", why) for side, why in context.failures.items())
        return [key.sample.model_copy(update={"show": context.by_key[key.key_hash]}) for key in sampled]

    def close(self) -> None:
        """Close all connections."""
        for session in self.sessions.values():
            session.close()


def _read_probe(session: Session, row_hash: RowHash) -> str:
    row = session.query(hash_probe(row_hash), "hashing a fixed row")[0]
    return f"{row['row_hash']} {row['encoding']}"
