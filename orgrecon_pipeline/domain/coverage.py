"""Coverage: what earlier live observations found, which must not vanish unnoticed."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class CoverageSubject(str, Enum):
    """What can vanish: all rows of a tenant, all rows of an entity, or all values of a compared column."""

    TENANT = "tenant"
    ENTITY = "entity"
    COLUMN = "column"


class CoverageChange(str, Enum):
    """What an observation found out about a subject.

    *appeared*: present, and not known before. *departed*: gone for a known reason (the tenant also left the declared
    universe, or the loss was acknowledged), and no longer known. *lost*: known, but gone without a reason. A lost
    subject stays known, so the next observation reports it lost again until somebody acknowledges it.
    """

    APPEARED = "appeared"
    DEPARTED = "departed"
    LOST = "lost"


class CoverageEvent(NamedTuple):
    """One entry of the append-only coverage history. The name of a column is ``entity.column``."""

    subject: CoverageSubject
    name: str
    change: CoverageChange
