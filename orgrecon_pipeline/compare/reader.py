"""What a comparison asks of the databases, whether one holds both sides or each has its own."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from orgrecon_pipeline.compare.keys.tracked_keys import Drift, TrackedKeys
from orgrecon_pipeline.compare.progress import RowCount
from orgrecon_pipeline.compare.result import SnapshotPair
from orgrecon_pipeline.compare.row_hash import RowHash
from orgrecon_pipeline.compare.scan.fingerprints import Fingerprints
from orgrecon_pipeline.domain.evidence import Sample
from orgrecon_pipeline.domain.tenant_names import TenantNames


class Reader(Protocol):
    """Reads both sides. All but :meth:`examine` and :meth:`close` need an open snapshot; every method raises
    CannotDecide when it fails."""

    digest: RowHash
    rows: RowCount

    def examine(self) -> int:
        """Hold the mapping against the databases; the number of tables that it reads."""

    def snapshot(self) -> AbstractContextManager[SnapshotPair]:
        """Open a snapshot, of the same databases as before."""

    def run_self_test(self, tenants: int) -> None:
        """Compare a built-in pair whose drift is known, as :meth:`fingerprints` does where tenants are so many."""

    def unchanged(self) -> None:
        """Make sure that every table is still what the examination found."""

    def declared(self) -> TenantNames | None:
        """The declared universe; None without one."""

    def fingerprints(self, tenants: int) -> dict[str, Fingerprints]:
        """Each entity over all tenants, of which there may be so many: how it is done best depends on it."""

    def first_read(self, prints: dict[str, Fingerprints], *, exact: bool) -> Drift:
        """All drift, by key: of the tenants whose fingerprints differ, or of every one."""

    def read_again(self, watched: Drift) -> Drift:
        """What of the watched keys still drifts."""

    def any_row(self, name: str, side: str) -> bool:
        """Whether a side of an entity has any row."""

    def samples(self, name: str, drifting: dict[str, TrackedKeys], limit: int, *, with_values: bool) -> list[Sample]:
        """Up to ``limit`` keys of each kind."""

    def close(self) -> None:
        """End all connections."""
