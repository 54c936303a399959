"""What people accepted: append-only, like the evidence that it is about."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import insert, select

from orgrecon_pipeline.ledger.engine import Store
from orgrecon_pipeline.ledger.tables import acknowledgement as table
from orgrecon_pipeline.ledger.validate import json_text, keepable


@dataclass(frozen=True)
class Acknowledgement:
    """That lost coverage or another source database is intended, with a person's reason.

    ``details`` says what exactly was accepted, in JSON values; ``observation_id`` which observation found it out.
    """

    kind: Literal["coverage", "source"]
    reason: str
    observation_id: str | None
    details: dict[str, Any]
    recorded_at: datetime


def acknowledge(store: Store, accepted: Acknowledgement) -> None:
    """Keep an acknowledgement."""
    with store.writing() as connection:
        connection.execute(insert(table).values(
            kind=accepted.kind, reason=keepable(accepted.reason), observation_id=accepted.observation_id,
            details=json_text(accepted.details), recorded_at=accepted.recorded_at,
        ))


def acknowledgements(store: Store, kind: Literal["coverage", "source"]) -> list[Acknowledgement]:
    """All of one kind, in the order in which they were kept."""
    with store.reading() as connection:
        rows = connection.execute(select(table).where(table.c.kind == kind).order_by(table.c.number))
        return [
            Acknowledgement(kind, row.reason, row.observation_id, json.loads(row.details), row.recorded_at)
            for row in rows
        ]
