"""How reports are named, and how a path is shown to a person."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

from orgrecon_pipeline.domain.days import parse_day
from orgrecon_pipeline.domain.errors import UsageError
from orgrecon_pipeline.report.markdown import visible

SUFFIX = ".md"

#: Far more than a report of the largest permitted breakdown.
MAX_BYTES = 16 * 1024 * 1024

# A year, month and day in some other spelling, or a copy: "2026-1-1.md", "20260101.MD", "2026-01-01 (1).md".
_LIKE_A_DAY = re.compile(
    r"\s*\d{4}[-_. ]?\d{1,2}[-_. ]?\d{1,2}[^a-z]*(?:copy[^a-z]*)?\.(?:md|markdown)\s*", re.IGNORECASE
)


def file_name(day: date) -> str:
    """The name of a day's report."""
    return f"{day.isoformat()}{SUFFIX}"


def day_of(name: str) -> date | None:
    """The day of a report's file name; None for every other name."""
    if not name.endswith(SUFFIX):
        return None
    try:
        return parse_day(name[: -len(SUFFIX)])
    except UsageError:
        return None


def looks_like_a_report(name: str) -> bool:
    """Whether a name that is no report's was probably meant to be one."""
    return day_of(name) is None and bool(_LIKE_A_DAY.fullmatch(name))


def shown(path: Path) -> str:
    """A path in one line of a message."""
    return visible(str(path))
