"""File names of reports, and paths as messages show them."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

from orgrecon_pipeline.domain.days import parse_day
from orgrecon_pipeline.domain.errors import UsageError
from orgrecon_pipeline.report.page.markdown import visible

SUFFIX = ".md"

#: Largest size of a report in bytes, far above that of the largest permitted breakdown.
MAX_BYTES = 16 * 1024 * 1024

# A day in another spelling, or a copy: "2026-1-1.md", "20260101.MD", "2026-01-01 (1).md".
_LIKE_A_DAY = re.compile(
    r"\s*\d{4}[-_. ]?\d{1,2}[-_. ]?\d{1,2}[^a-z]*(?:copy[^a-z]*)?\.(?:md|markdown)\s*", re.IGNORECASE)


def file_name(day: date) -> str:
    """Return the file name of a day's report."""
    return f"{day.isoformat()}{SUFFIX}"


def day_of(name: str) -> date | None:
    """Return the day of a report's file name, None for every other name."""
    if not name.endswith(SUFFIX):
        return None
    try:
        return parse_day(name[: -len(SUFFIX)])
    except UsageError:
        return None


def looks_like_a_report(name: str) -> bool:
    """Return whether a file was probably meant to be a report, although it is not named like one."""
    return day_of(name) is None and bool(_LIKE_A_DAY.fullmatch(name))


def shown(path: Path) -> str:
    """Return a path as one line of a message can show it."""
    return visible(str(path))
