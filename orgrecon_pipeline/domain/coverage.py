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

    *appeared*: present, and not known before. *departed*: absent for a known reason (the tenant also left the declared
    universe, or a person acknowledged the absence), and no longer expected. *lost*: absent, though an acknowledgement
    is needed: it was known, or it was never seen. It does not change what is known, so the next observation reports
    the subject again until it is acknowledged.
    """

    APPEARED = "appeared"
    DEPARTED = "departed"
    LOST = "lost"


class CoverageEvent(NamedTuple):
    """One entry of the append-only coverage history. The name of a column is ``entity.column``."""

    subject: CoverageSubject
    name: str
    change: CoverageChange
