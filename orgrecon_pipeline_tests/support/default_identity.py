"""Functions that take an identity, bound to the default one: most tests are about the evidence of one identity."""

from __future__ import annotations

from datetime import date
from functools import partial
from pathlib import Path

from orgrecon_pipeline.domain import record
from orgrecon_pipeline.domain.identity import Identity
from orgrecon_pipeline.ledger import open as opening
from orgrecon_pipeline.operations.gate import current
from orgrecon_pipeline.operations.trail import sync
from orgrecon_pipeline.report import read, verify

IDENTITY = Identity()

open_ledger = partial(opening.open_ledger, identity=IDENTITY)
open_existing = partial(opening.open_existing, identity=IDENTITY)
read_report = partial(read.read_report, identity=IDENTITY)
read_trail = partial(verify.read_trail, identity=IDENTITY)
verify_trail = partial(verify.verify_trail, identity=IDENTITY)
current_gate = partial(current.current_gate, identity=IDENTITY)
build_record = partial(record.build_record, IDENTITY)


def sync_trail(source: Path, target: Path, today: date, simulated_today: date | None = None) -> sync.SyncResult:
    """Copy the reports of ``source`` to ``target``."""
    return sync.sync_trail(source, target, IDENTITY, today, simulated_today)
