"""Whether a record agrees with itself: what its digest cannot tell, as anybody can compute a digest."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise

from orgrecon_pipeline.domain.days import utc_day
from orgrecon_pipeline.domain.drift_kinds import Counts
from orgrecon_pipeline.domain.evidence import (
    EntityTotals,
    Observation,
    Provenance,
    SameDay,
    Verdict,
    deciding_observation,
    sum_counts,
)
from orgrecon_pipeline.domain.record import Record, instant_text, parse_instant

# What the record repeats of the observation that decides the day.
_REPEATED = ("verdict", "provenance", "reason", "reason_code", "reason_parameters", "tenants_scanned",
             "tenants_with_drift", "entities", "mapping_digest", "orgrecon_version")


def contradiction(record: Record) -> str | None:
    """The first thing in which a record contradicts itself, as the rest of a sentence about it; None for none."""
    return next(_contradictions(record), None)


def observations_of(record: Record) -> list[Observation]:
    """The observations that a record lists, as far as it tells of them.

    Raises:
        ValueError: when a time is none.
    """
    return [
        Observation(
            id=row.id, day=record.day, provenance=row.provenance, verdict=row.verdict, **row.why.as_fields(),
            observed_at=parse_instant(row.observed_at), mapping_digest=row.mapping_digest,
            orgrecon_version=row.orgrecon_version, tenants_scanned=row.tenants_scanned,
            tenants_with_drift=row.tenants_with_drift, entities=row.entities, compared={},
        )
        for row in record.observations
    ]


def _contradictions(record: Record) -> Iterator[str]:
    yield from _in_observations(record)
    if record.verdict is Verdict.PASS and not _clean(record.entities, record.tenants_with_drift):
        yield "is a PASS with drift, or with figures that are not known"
    if any(row.drift for row in record.tenants) and record.verdict is Verdict.PASS:
        yield "is a PASS with a tenant that drifts"
    yield from _in_window(record)
    if record.live_days != record.counted[Provenance.LIVE]:
        yield "says another number of live days than its window shows"
    values = record.compared.get("values", {})
    if not isinstance(values, dict) or not all(
        isinstance(counts, dict) and all(type(n) is int for n in counts.values()) for counts in values.values()
    ):
        yield "has compared.values that are not counts per entity and column"


def _in_observations(record: Record) -> Iterator[str]:
    for seen in record.observations:
        try:
            moment = parse_instant(seen.observed_at)
        except ValueError:
            yield "has an observation whose time is no UTC time"
            return
        if (moment is not None) is not seen.provenance.compared:
            yield "has a baseline with a time, or a comparison without one"
        # Of a restored database it is the moment that it was restored to.
        elif moment is not None and utc_day(moment) != record.day:
            yield "has an observation of another day"
        if seen.verdict is Verdict.MISSING:
            yield "has an observation without a verdict"
        if seen.verdict is Verdict.PASS and not _clean(seen.entities, seen.tenants_with_drift):
            yield "has an observation that is a PASS with drift"
    decides = [seen for seen in record.observations if seen.decides]
    if len(decides) != 1:
        yield "has not exactly one observation that decides the day"
        return
    for name in _REPEATED:
        if getattr(record, name) != getattr(decides[0], name):
            yield f"has another {name} than the observation that decides the day"
    if len({seen.id for seen in record.observations}) != len(record.observations):
        yield "lists an observation twice"
    rules: tuple[SameDay, ...] = ("latest", "worst")
    by_rule = [one for rule in rules if (one := deciding_observation(observations_of(record), rule))]
    moments = {instant_text(one.observed_at) for one in by_rule if one.verdict.decided and decides[0].verdict.decided}
    # An older orgrecon let chance decide between two of one moment: such a report is read, and its trail disagrees.
    if decides[0].id not in {one.id for one in by_rule} and decides[0].observed_at not in moments:
        yield "is decided by another observation than the rules say"


def _in_window(record: Record) -> Iterator[str]:
    window = record.window
    if not window or window[-1].day != record.day:
        yield "has a window that does not end with its day"
        return
    if any(later.day - earlier.day != timedelta(days=1) for earlier, later in pairwise(window)):
        yield "has a window with days out of order"
    if len(window) < record.window_days:
        yield "has a window that is too short"
    last = window[-1]
    if (last.verdict, last.provenance, last.counts) != (
        record.verdict, record.provenance, sum_counts(record.entities)
    ):
        yield "says something else of its day in its window"
    for row in window:
        missing = row.verdict is Verdict.MISSING
        if missing != (row.provenance is None) or (missing and set(row.counts.values()) != {None}):
            yield f"has a window in which {row.day} is half missing"
        if row.eligible and row.verdict is not Verdict.PASS:
            yield f"counts {row.day} as clean, which is {row.verdict.value}"
        if row.verdict is Verdict.PASS and any(row.counts.values()):
            yield f"has a window in which {row.day} is a PASS with drift"


def _clean(entities: dict[str, EntityTotals], tenants_with_drift: int | None) -> bool:
    return tenants_with_drift == 0 and sum_counts(entities) == Counts.zero()
