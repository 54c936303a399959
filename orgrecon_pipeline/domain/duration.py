"""Prediction of how long a comparison takes, from an earlier one or from the server's statistics.

The seconds per row and byte were measured on two cores with the tables in memory; see docs/benchmarks.md. An earlier
comparison is the better guide: it knows the disks, the cores and the drift.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

# Connections, preflight checks and self-test.
_START = 0.12
_PER_ROW = {"native": 0.12e-6, "portable": 0.5e-6}
_PER_BYTE = 0.5e-9
# Looking up a row in a join: a cache miss, if the rows are in random order.
_PER_LOOKUP = 0.3e-6

_MINUTE = 60
_HOUR = 60 * _MINUTE
_LONGEST = 365 * 24 * _HOUR  # more than any comparison takes


@dataclass(frozen=True)
class SideRead:
    """What the scan of one side of an entity reads, by the server's statistics.

    Attributes:
        rows: rows that it returns.
        bytes: size of its tables.
        joined: whether each row is looked up in another table.
        digest: the name of the row hash.
    """

    rows: int
    bytes: int
    joined: bool
    digest: str

    @property
    def seconds(self) -> float:
        """Duration of the scan while another core scans the other side."""
        lookups = self.rows if self.joined else 0
        return self.rows * _PER_ROW[self.digest] + self.bytes * _PER_BYTE + lookups * _PER_LOOKUP


@dataclass(frozen=True)
class EarlierComparison:
    """A completed comparison of the same mapping.

    ``seconds`` is its duration, and ``waited`` the part that it waited before rechecks. ``rows`` counts both sides.
    """

    seconds: float
    waited: float
    rows: int

    @classmethod
    def of(cls, compared: dict[str, Any], rows: int | None) -> EarlierComparison | None:
        """Return the comparison that a record describes; None if it does not say how long it took."""
        seconds, rechecks, scan = compared.get("seconds"), compared.get("rechecks_done"), compared.get("scan")
        settle = scan.get("settle_seconds") if isinstance(scan, dict) else None
        # An imported report can be of another version, or say anything.
        numbers = [float(number) for number in (seconds, rechecks, settle)
                   if isinstance(number, (int, float)) and 0 <= number <= _LONGEST]
        if len(numbers) < 3:
            return None
        return cls(numbers[0], min(numbers[0], numbers[1] * numbers[2]), rows or 0)


@dataclass(frozen=True)
class Prediction:
    """Predicted duration of the next comparison, and what it rests on.

    Attributes:
        seconds: the duration as long as the drift is as before, at first none; None if nothing is known.
        seconds_if_drift: the duration if keys drift: the comparison then also waits before each recheck.
        rows: rows of both sides by the server's statistics; None if a table has none.
        basis: what the prediction was made from.
    """

    seconds: float | None
    seconds_if_drift: float | None
    rows: int | None
    basis: Literal["last_comparison", "statistics", "nothing"]

    def as_json_value(self) -> dict[str, Any]:
        """Return the prediction under its public field names."""
        rounded = (None if number is None else round(number, 2) for number in (self.seconds, self.seconds_if_drift))
        return {**dict(zip(("seconds", "seconds_if_drift"), rounded, strict=True)), "rows": self.rows,
                "basis": self.basis}


def predict(
    sides: Sequence[SideRead], earlier: EarlierComparison | None, *, analysed: bool, waits: float = 0.0,
    at_once: int = 1,
) -> Prediction:
    """Predict the duration of the next comparison.

    Args:
        sides: what is read, of every shard.
        earlier: the last comparison of the same mapping, if there is one.
        analysed: whether the server has statistics of all tables.
        waits: seconds that a comparison with drift waits before its rechecks.
        at_once: number of shards that are compared at the same time.
    """
    rows = sum(side.rows for side in sides) if analysed else None
    if rows is None and earlier is None:
        return Prediction(None, None, None, "nothing")
    scan, slower, waited = sum(side.seconds for side in sides) / max(1, at_once), 1.0, 0.0
    if earlier:
        growth, waited = rows / earlier.rows if rows and earlier.rows else 1.0, earlier.waited
        # How many times longer the last comparison took than the coefficients give for its rows.
        slower = max(0.0, earlier.seconds - waited) / (_START + scan / growth)
    working = slower * (_START + scan)
    return Prediction(
        working + waited, working + max(waited, waits), rows, "last_comparison" if earlier else "statistics")


def predict_from_rows(rows: int, earlier: EarlierComparison | None, digest: str) -> float | None:
    """Return the predicted seconds of a comparison that has begun; None if nothing is known.

    ``rows`` counts all tables by the server's statistics; 0 if they are unknown.
    """
    tables = [SideRead(rows, bytes=0, joined=False, digest=digest)]
    known = EarlierComparison(earlier.seconds, earlier.waited, 0) if earlier else None
    return predict(tables, known, analysed=rows > 0).seconds


def in_words(seconds: float) -> str:
    """Return a duration as ``less than a second``, ``about 20 s``, ``about 3 minutes`` or ``about 2 hours``."""
    if seconds < 1:
        return "less than a second"
    if seconds < 2 * _MINUTE:
        return f"about {round(seconds)} s"
    if seconds < 2 * _HOUR:
        return f"about {round(seconds / _MINUTE)} minutes"
    return f"about {round(seconds / _HOUR)} hours"


def time_left(expected: float | None, elapsed: float) -> str:
    """Return the end of a progress message, such as ``, about 3 minutes left``; empty if nothing is expected."""
    if expected is None:
        return ""
    left = expected - elapsed
    return f", {in_words(left)} left" if left > 0 else ", longer than predicted"
