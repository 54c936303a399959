"""One day or many in a run: the same work, told to Dagster in two ways."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import dagster as dg

from orgrecon_pipeline.domain.days import parse_day
from orgrecon_pipeline.domain.errors import DayRefused
from orgrecon_pipeline.operations.context import Context

_NAMED = 10


@dataclass(frozen=True)
class Done:
    """What was made of one day: what to show, the version of the data, and whether the asset's check passed."""

    day: date
    metadata: Mapping[str, Any]
    version: str = ""
    passed: bool = True
    check_metadata: Mapping[str, Any] = field(default_factory=dict)


def days_of(context: dg.AssetExecutionContext) -> list[date]:
    """The days of a run, oldest first."""
    return [parse_day(key) for key in context.partition_keys]


def refuse_holes(work: Context, days: Sequence[date]) -> None:
    """Refuse a range in which a past day has no evidence, before anything of it is done.

    Of the days of one run Dagster cannot mark a single one as failed: a hole would look materialised.

    Raises:
        DayRefused: naming the days.
    """
    if len(days) == 1:
        return
    today = work.clock.today()
    known = set(work.ledger.days())
    holes = [day.isoformat() for day in days if day < today and day not in known]
    if holes:
        named = ", ".join(holes[:_NAMED]) + (f" and {len(holes) - _NAMED} more" if len(holes) > _NAMED else "")
        raise DayRefused(
            f"{len(holes)} of these {len(days)} days have no evidence, and today's live database cannot say anything "
            f"about them: {named}. Launch one run per day, or a range without them."
        )


def finished(
    context: dg.AssetExecutionContext, check_name: str | None, done: Sequence[Done]
) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """The result of an asset; of several days each partition gets its own metadata, and the check stands for all."""
    if len(done) == 1:
        [one] = done
        return dg.MaterializeResult(
            metadata=one.metadata,
            data_version=dg.DataVersion(one.version) if one.version else None,
            check_results=_check(check_name, one.passed, one.check_metadata),
        )
    for one in done:
        context.add_asset_metadata(one.metadata, partition_key=one.day.isoformat())
    failed = [one.day.isoformat() for one in done if not one.passed]
    return dg.MaterializeResult(
        check_results=_check(check_name, not failed, {"days": len(done), "failed": ", ".join(failed)})
    )


def _check(name: str | None, passed: bool, metadata: Mapping[str, Any]) -> list[dg.AssetCheckResult] | None:
    return [dg.AssetCheckResult(check_name=name, passed=passed, metadata=metadata)] if name else None
