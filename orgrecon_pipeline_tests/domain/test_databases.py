"""WAL positions: which state of a database is behind another one."""

from __future__ import annotations

from typing import Any

import pytest

from orgrecon_pipeline.domain.databases import identities_of, pins_of, positions_of
from orgrecon_pipeline.domain.gate.day_decision import conditions_of, has_regressed


def compared(
    lsn: str | None = "0/20", timeline: Any = 1, *, standby: bool = False, server: str = "7"
) -> dict[str, Any]:
    """Return what a record says about a comparison of one database."""
    side = {"system_identifier": server, "database": "app", "in_recovery": standby, "timeline": timeline,
            "snapshot": "1:1:", **({"lsn": lsn} if lsn else {})}
    return {"source": side, "target": side, "seconds": 3}


@pytest.mark.parametrize(("later", "regressed"), [
    (compared("0/20"), False), (compared("0/1F"), True), (compared("1/0"), False), (compared("0/21", 2), False),
    (compared("0/1F", 2), True), (compared("0/21", 0), True), (compared("0/1F", standby=True), False),
    (compared("0/1F", server="8"), False), (compared(None), False), (compared("here"), False), ({}, False),
])
def test_database_regresses_if_its_wal_is_behind_on_the_same_server(later: dict[str, Any], regressed: bool) -> None:
    assert has_regressed(later, compared()) is regressed


@pytest.mark.parametrize("shards", [False, True])
def test_identities_keep_pins_and_positions(shards: bool) -> None:
    whole = {"shards": {"eu1": compared(), "us1": compared("0/30")}} if shards else compared()
    identities = identities_of(whole)
    assert (pins_of(identities), positions_of(identities)) == (pins_of(whole), positions_of(whole))
    assert len(positions_of(whole)) == (4 if shards else 2)
    assert conditions_of(conditions_of(whole)) == conditions_of(whole), "a record that is read back has the same ones"
    assert "snapshot" not in str(identities)
