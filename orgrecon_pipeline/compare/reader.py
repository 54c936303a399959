"""Interface of the readers: the same operations on one database and on two."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from orgrecon_pipeline.compare.keys.tracked_keys import Drift, TrackedKeys
from orgrecon_pipeline.compare.progress import RowCounter
from orgrecon_pipeline.compare.queries.row_hash import RowHash
from orgrecon_pipeline.compare.result import SnapshotPair
from orgrecon_pipeline.compare.scan.fingerprints import Fingerprints
from orgrecon_pipeline.domain.evidence import Sample
from orgrecon_pipeline.domain.tenant_names import TenantNames


class Reader(Protocol):
    """Reads both sides. Every method raises CannotDecide if it fails.

    All methods except :meth:`run_preflight` and :meth:`close` need an open snapshot.
    """

    row_hash: RowHash
    rows: RowCounter

    def run_preflight(self) -> int:
        """Run the preflight checks, and return the number of tables that the mapping reads."""

    def snapshot(self) -> AbstractContextManager[SnapshotPair]:
        """Open a snapshot of the databases that the preflight checks read."""

    def run_self_test(self, tenants: int) -> None:
        """Run the self-test with the statements that are used for that many tenants."""

    def require_unchanged(self) -> None:
        """Require that no table was altered or replaced since the preflight checks."""

    def read_declared_tenants(self) -> TenantNames | None:
        """Return the declared universe; None if the mapping has none."""

    def read_fingerprints(self, tenants: int) -> dict[str, Fingerprints]:
        """Return the fingerprints by entity. ``tenants`` is their approximate number, which affects the method."""

    def find_drift(self, fingerprints: dict[str, Fingerprints], *, exact: bool) -> Drift:
        """Return all drifting keys of the tenants whose fingerprints differ; with ``exact``, of all tenants."""

    def recheck(self, tracked: Drift) -> Drift:
        """Return the tracked keys that still drift."""

    def has_rows(self, name: str, side: str) -> bool:
        """Return whether one side of an entity has any row."""

    def read_samples(self, name: str, drift: dict[str, TrackedKeys], limit: int, *, with_values: bool) -> list[Sample]:
        """Return up to ``limit`` keys of each kind."""

    def close(self) -> None:
        """Close all connections."""
