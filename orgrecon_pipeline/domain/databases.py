"""The databases behind an observation, as the record describes them in ``compared``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: The name of the only shard of a mapping without shards.
UNSHARDED = ""

#: The identity of each database by its label: ``source``, ``target``, or with shards ``eu1.source``.
Pins = dict[str, dict[str, str]]

_PIN_KEYS = ("system_identifier", "database")


def by_shard(databases: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the record's description of the databases: nested by shard, or flat without shards."""
    if databases.keys() <= {UNSHARDED}:
        return dict(databases.get(UNSHARDED, {}))
    return {"shards": dict(sorted(databases.items()))}


def pins_of(compared: Mapping[str, Any]) -> Pins:
    """Return the databases that a record, or :func:`by_shard`, describes."""
    shards = compared.get("shards")
    pairs = {f"{name}.": pair for name, pair in shards.items()} if isinstance(shards, dict) else {"": compared}
    return {
        f"{prefix}{side}": {key: str(database[key]) for key in _PIN_KEYS}
        for prefix, pair in pairs.items() if isinstance(pair, Mapping)
        for side in ("source", "target")
        if isinstance(database := pair.get(side), dict) and all(database.get(key) for key in _PIN_KEYS)
    }


def describe_pin(pin: Mapping[str, str]) -> str:
    """Return the text that names a database in a message."""
    return f"{pin['database']!a} on server {pin['system_identifier']}"


def compared_from_pins(pins: Pins) -> dict[str, Any]:
    """Return a ``compared`` from which :func:`pins_of` reads the same pins."""
    if not any("." in label for label in pins):
        return dict(pins)
    shards: dict[str, dict[str, Any]] = {}
    for label, pin in pins.items():
        name, _, side = label.rpartition(".")
        shards.setdefault(name, {})[side] = pin
    return {"shards": shards}
