"""The state of a gate, which the options of the command line name without the rules of the gate."""

from __future__ import annotations

from enum import Enum


class GateState(str, Enum):
    """OPEN unblocks the Phase 2 read cutover."""

    OPEN = "OPEN"
    CLOSED = "CLOSED"
