"""The databases behind an observation, as the record describes them in ``compared``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

#: The name of the only shard of a mapping without shards.
UNSHARDED = ""

#: The identity of each database by its label: ``source``, ``target``, or with shards ``eu1.source``.
Pins = dict[str, dict[str, str]]

_PIN_KEYS = ("system_identifier", "database")
_LSN = re.compile(r"([0-9A-F]{1,8})/([0-9A-F]{1,8})")
_POSITION_KEYS = ("in_recovery", "timeline", "lsn")


class Position(NamedTuple):
    """How far the WAL of a database had got when it was compared. A standby has no timeline."""

    in_recovery: bool
    timeline: int
    lsn: int

    def behind(self, earlier: Position) -> bool:
        """Return whether a server of the same role has lost WAL that it had at an earlier comparison.

        A failover only raises the timeline; a lower LSN also shows a backup that was restored on a new timeline.
        """
        return self.in_recovery == earlier.in_recovery and (self.timeline < earlier.timeline or self.lsn < earlier.lsn)

    def __str__(self) -> str:
        timeline = f" on timeline {self.timeline}" if self.timeline else ""
        return f"{self.lsn >> 32:X}/{self.lsn & 0xFFFFFFFF:X}{timeline}"


def by_shard(databases: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the record's description of the databases: nested by shard, or flat without shards."""
    if databases.keys() <= {UNSHARDED}:
        return dict(databases.get(UNSHARDED, {}))
    return {"shards": dict(sorted(databases.items()))}


def pins_of(compared: Mapping[str, Any]) -> Pins:
    """Return the databases that a record, or :func:`by_shard`, describes."""
    return {label: {key: str(database[key]) for key in _PIN_KEYS} for label, database in labelled_databases(compared)}


def positions_of(compared: Mapping[str, Any]) -> dict[str, Position]:
    """Return the WAL position of each database that a record describes, by label, as far as it is known."""
    return {label: position for label, database in labelled_databases(compared) if (position := _position(database))}


def uses_citus(compared: Mapping[str, Any]) -> bool:
    """Return whether a database that a record describes has the extension Citus."""
    return any(database.get("citus") for _, database in labelled_databases(compared))


def identities_of(compared: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of ``compared`` from which the pins and positions are read, in the same form."""
    by_name: dict[str, dict[str, Any]] = {}
    for label, database in labelled_databases(compared):
        name, _, side = label.rpartition(".")
        pin = {key: str(database[key]) for key in _PIN_KEYS}
        position = {key: database[key] for key in _POSITION_KEYS if key in database} if _position(database) else {}
        by_name.setdefault(name, {})[side] = pin | position
    return by_shard(by_name)


def labelled_databases(compared: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each database that a record describes, with its label."""
    pairs = {f"{name}.": pair for name, pair in compared["shards"].items()} if "shards" in compared else {"": compared}
    for prefix, pair in pairs.items():
        for side in ("source", "target"):
            database = pair.get(side, {})
            if all(database.get(key) for key in _PIN_KEYS):
                yield f"{prefix}{side}", database


def _position(database: Mapping[str, Any]) -> Position | None:
    match = _LSN.fullmatch(database.get("lsn", ""))
    if match is None:
        return None
    lsn = (int(match[1], 16) << 32) + int(match[2], 16)
    return Position(database.get("in_recovery", False), database.get("timeline", 0), lsn)


def describe_pin(pin: Mapping[str, str]) -> str:
    """Return the text that names a database in a message."""
    return f"{pin['database']!a} on server {pin['system_identifier']}"
