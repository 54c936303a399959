"""Coverage: what earlier live observations have seen, and must not vanish silently."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class CoverageSubject(str, Enum):
    """What can vanish: every row of a tenant, every row of an entity, every value of a compared column."""

    TENANT = "tenant"
    ENTITY = "entity"
    COLUMN = "column"


class CoverageChange(str, Enum):
    """What a live observation found out about a subject.

    *appeared*: seen, and not known before. *departed*: gone for a good reason (the tenant left the declared
    universe too, or its loss was acknowledged); no longer known. *lost*: known, and gone without a reason; it
    stays known, so that the next observation finds it lost again until that is acknowledged.
    """

    APPEARED = "appeared"
    DEPARTED = "departed"
    LOST = "lost"


class CoverageEvent(NamedTuple):
    """One line of the append-only coverage history; a column's name is ``entity.column``."""

    subject: CoverageSubject
    name: str
    change: CoverageChange
