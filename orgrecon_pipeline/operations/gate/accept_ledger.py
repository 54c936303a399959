"""Acceptances of other ledgers that evaluated the same check in Dagster."""

from __future__ import annotations

import re
from datetime import datetime, timezone

from orgrecon_pipeline.domain.errors import UsageError
from orgrecon_pipeline.domain.gate.claims import Acceptance
from orgrecon_pipeline.domain.identity import LEDGER_ID
from orgrecon_pipeline.domain.record import instant_text, parse_instant
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline.operations.context import Context
from orgrecon_pipeline.operations.observe.acknowledge import normalised_reason


def accept_ledger(context: Context, reason: str, ledger_id: str | None = None) -> Acceptance:
    """Accept all evaluations of the gate's check so far by the ledger with this id, or by any ledger without one.

    Later evaluations close the check again.

    Raises:
        UsageError: if the reason is too short, or ``ledger_id`` is not the id of a ledger.
    """
    reason = normalised_reason(reason)
    if ledger_id is not None and not re.fullmatch(LEDGER_ID, ledger_id):
        raise UsageError(f"{ledger_id[:40]!a} is not the id of a ledger: copy the id from the reason of the gate, or "
                         "leave it out to accept every ledger.")
    # Never an injected clock: Dagster stores evaluations with the real time.
    acceptance = Acceptance(ledger_id, datetime.now(timezone.utc))
    context.ledger.acknowledge(
        "ledger", reason, None, {"ledger": ledger_id, "until": instant_text(acceptance.until)}, context.clock.now())
    return acceptance


def accepted_ledgers(ledger: Ledger) -> list[Acceptance]:
    """Return the acceptances that are recorded in a ledger."""
    return [Acceptance(entry.details["ledger"], until) for entry in ledger.acknowledgements("ledger")
            if (until := parse_instant(entry.details["until"])) is not None]
