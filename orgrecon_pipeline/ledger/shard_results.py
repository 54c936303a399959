"""What was found in single shards while others of the same attempt failed: append-only."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import insert, select

from orgrecon_pipeline.ledger.engine import Store
from orgrecon_pipeline.ledger.tables import shard as table
from orgrecon_pipeline.ledger.validate import json_text, keepable


def keep_shard(store: Store, observation_id: str, name: str, exact: bool, found: dict[str, Any]) -> None:
    """Keep what was found in one shard."""
    with store.writing() as connection:
        connection.execute(insert(table).values(
            observation_id=observation_id, shard=keepable(name), exact=int(exact), found=json_text(found)))


def shards(store: Store, observation_id: str, exact: bool) -> dict[str, dict[str, Any]]:
    """What an attempt found, by shard."""
    wanted = select(table).where(table.c.observation_id == observation_id, table.c.exact == int(exact))
    with store.reading() as connection:
        return {row.shard: json.loads(row.found) for row in connection.execute(wanted.order_by(table.c.shard))}
