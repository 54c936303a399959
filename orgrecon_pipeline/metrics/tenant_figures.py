"""Numbers of all tenants and of those whose gate is OPEN, counted once for each state of the evidence."""

from __future__ import annotations

import logging
import threading
from typing import NamedTuple

from orgrecon_pipeline.operations.gate.evidence_state import EvidenceState
from orgrecon_pipeline.operations.gate.sources import GateEvidence
from orgrecon_pipeline.operations.gate.tenant_summary import TenantSummary
from orgrecon_pipeline.operations.gate.tenants import TenantGates

_log = logging.getLogger(__name__)


class TenantFigures(NamedTuple):
    """The number of tenants, and of those whose gate is OPEN; None while it is not known."""

    total: int | None
    ready: int | None


UNKNOWN = TenantFigures(None, None)


class TenantCounter:
    """Counter of tenants in a thread: a million of them take seconds, and a scrape must not wait so long.

    It never returns figures of another state of the evidence.
    """

    def __init__(self, wait_seconds: float | None = None) -> None:
        """
        Args:
            wait_seconds: how long :meth:`count` waits for the figures; None until they are known.
        """
        self._wait_seconds = wait_seconds
        self._done = threading.Condition()
        self._counting: EvidenceState | None = None
        self._counted: tuple[EvidenceState, TenantFigures] | None = None

    def count(self, evidence: GateEvidence) -> TenantFigures:
        """Return the figures of a ledger's evidence, :data:`UNKNOWN` if they take too long or fail."""
        state = EvidenceState.of(evidence)
        with self._done:
            if self._counted is None or self._counted[0] != state:
                if self._counting is None:
                    self._counting = state
                    threading.Thread(target=self._count, args=(state, evidence), daemon=True).start()
                self._done.wait_for(lambda: self._counting != state, self._wait_seconds)
            known = self._counted
            return known[1] if known is not None and known[0] == state else UNKNOWN

    def _count(self, state: EvidenceState, evidence: GateEvidence) -> None:
        counted = None
        try:
            summary = TenantSummary.of(TenantGates(evidence), limit=0)
            counted = state, TenantFigures(summary.total, summary.ready.count)
        except Exception as error:  # any error must end the wait, and must not show a secret
            _log.error("cannot decide the tenant gates: %s", type(error).__name__)
        with self._done:
            self._counting, self._counted = None, counted
            self._done.notify_all()
