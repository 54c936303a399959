"""Coverage: what earlier live observations found, which must not vanish unnoticed."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, NamedTuple

#: How many names a record holds at most of those that were lost, left, or were acknowledged.
NAMED_IN_RECORD = 100


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


def lists_every_departure(compared: Mapping[str, Any]) -> bool:
    """Return whether a record names every tenant that departed, given its ``compared``."""
    facts = compared.get("coverage", {})
    # After a loss nothing departs, because the universe may have been emptied with the tables.
    departed = 0 if facts.get("lost_count") or facts.get("left_too_many") else facts.get("left_count", 0)
    return len(facts.get("left", ())) >= departed and len(facts.get("acknowledged", ())) < NAMED_IN_RECORD
