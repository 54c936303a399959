"""Settings with which tables that Citus distributes over several servers are read safely."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from orgrecon_pipeline.domain.errors import CannotDecide
from orgrecon_pipeline.domain.reasons import ReasonCode

#: Set before all other settings of a transaction. Citus then sets those on the nodes too, and reads each node through
#: one connection, and so in one snapshot.
SETTINGS = {
    "citus.propagate_set_commands": "local",
    "citus.max_adaptive_executor_pool_size": "1",
    "citus.multi_shard_modify_mode": "sequential",
}
#: A connection cannot change the last one. A secondary node can lag behind, and its lag cannot be read.
REQUIRED = {**SETTINGS, "citus.use_secondary_nodes": "never"}

# Older versions do not propagate LOCK TABLE to the nodes.
_OLDEST = 11


def require_settings(version: str, rows: Iterable[Mapping[str, str]]) -> None:
    """Require a known version of Citus whose settings, given as rows of ``citus_settings.sql``, are as required.

    Raises:
        CannotDecide: if the version is too old, the library is not loaded, or a setting has another value.
    """
    if int(version.split(".")[0]) < _OLDEST:
        raise _unsafe(version, f"only Citus {_OLDEST} and later lock the tables on all nodes")
    values = {row["name"]: row["setting"] for row in rows}
    for name, required in REQUIRED.items():
        if name not in values:
            raise _unsafe(version, f"{name} is unknown: add citus to shared_preload_libraries, or update it")
        if values[name] != required:
            raise _unsafe(version, f"{name} is {values[name]!a} and must be {required}: change it for this role")


def _unsafe(version: str, problem: str) -> CannotDecide:
    return CannotDecide(f"the nodes of Citus {version} cannot be read safely: {problem}", ReasonCode.CITUS_SETTINGS)
