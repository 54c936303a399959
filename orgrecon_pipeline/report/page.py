"""The parts of a report's page, as the template shows them: every string is finished Markdown."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Banner:
    """The gate. ``kind`` is GitHub's name for the style of the alert."""

    kind: str
    state: str
    meaning: str
    streak: str
    counted: str
    reason: str
    earliest_open_day: str


@dataclass(frozen=True)
class Status:
    """The day's verdict. ``kind`` is GitHub's name for the style of the alert, empty for a day without one."""

    kind: str
    status: str
    reason: str


@dataclass(frozen=True)
class Table:
    """A table. ``align`` is the row below the heading."""

    heading: str
    align: str
    rows: tuple[str, ...]


@dataclass(frozen=True)
class AnnotatedTable:
    """A table and the sentence below it."""

    table: Table
    note: str


@dataclass(frozen=True)
class Trend:
    """Drifting keys per day, for the days whose figures are known."""

    days: str
    keys: str
    highest: int
    note: str


@dataclass(frozen=True)
class View:
    """A page."""

    day: str
    title: str
    banner: Banner
    note: str
    summary: Table
    verdict: Status
    legend: str
    tenants: AnnotatedTable | None
    samples: AnnotatedTable
    window: Table
    trend: Trend
    observations: AnnotatedTable
    compared: Table
    record: str
