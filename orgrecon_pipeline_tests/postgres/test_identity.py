"""Two snapshots show the same rows only if the server's own snapshots prove it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import pytest

from orgrecon_pipeline.postgres.identity import DatabaseIdentity

EARLIER = DatabaseIdentity(
    datetime(2026, 11, 30, tzinfo=timezone.utc), snapshot="10:12:10", database="prod", server_version="18.0",
    server_version_num=180000, system_identifier="7", started_at="2026-11-01", in_recovery=False, simulated=False)


@pytest.mark.parametrize(("change", "expected"), [
    ({}, True),
    ({"observed_at": datetime(2026, 12, 1, tzinfo=timezone.utc), "lsn": "0/9"}, True),
    ({"snapshot": "10:12:"}, False),
    ({"started_at": "2026-11-30"}, False),
    ({"system_identifier": "8"}, False),
    ({"in_recovery": True}, False),
    ({"citus": "13.2"}, False),
])
def test_snapshot_shows_the_same_rows_only_on_the_same_primary_without_a_commit(
    change: dict[str, Any], expected: bool
) -> None:
    assert replace(EARLIER, **change).shows_same_rows_as(EARLIER) is expected
