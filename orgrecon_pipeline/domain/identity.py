"""The identity of evidence: which migration it is about, and in which environment it was observed."""

from __future__ import annotations

import re
from dataclasses import dataclass

#: The migration of a mapping that names none.
DEFAULT_MIGRATION = "org-v23"

#: Pattern of the id of a ledger.
LEDGER_ID = "[0-9a-f]{16}"

#: Pattern of the name of a migration or an environment, which must not contain two ``_`` in a row either.
NAME_PATTERN = "[a-z0-9](?:[a-z0-9_-]{0,38}[a-z0-9])?"


@dataclass(frozen=True, order=True)
class Identity:
    """Name of a migration and of an environment; ``environment`` is empty if none is set.

    Evidence of one identity never answers for another.
    """

    migration: str = DEFAULT_MIGRATION
    environment: str = ""

    def __str__(self) -> str:
        """``org-v23``, or ``org-v23 in prod``."""
        return f"{self.migration} in {self.environment}" if self.environment else self.migration

    @property
    def slug(self) -> str:
        """A unique name of letters, digits, ``_`` and ``-``, as in ``org-v23__prod``."""
        return f"{self.migration}__{self.environment}" if self.environment else self.migration

    def as_json_value(self) -> dict[str, str]:
        """Return the public fields ``migration`` and ``environment``."""
        return {"migration": self.migration, "environment": self.environment}


def validate_name(text: str) -> str:
    """Return the name of a migration or an environment; raise ValueError if it is not valid."""
    if not re.fullmatch(NAME_PATTERN, text) or "__" in text:
        raise ValueError(f"{text[:80]!a} is not a name: use at most 40 lower-case letters, digits, - and single _, "
                         "with a letter or digit at each end")
    return text


def validate_environment(text: str) -> str:
    """Return the name of an environment, which may be empty; raise ValueError if it is not valid."""
    return validate_name(text) if text else ""
