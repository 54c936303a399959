"""Daily partitions: their definition, the days of a run, and the result of an asset for one day or several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import dagster as dg

from orgrecon_pipeline.domain.days import parse_day
from orgrecon_pipeline.domain.errors import DayRefused
from orgrecon_pipeline.operations.context import Context

_LISTED_DAYS = 20


@dataclass(frozen=True)
class DayResult:
    """The result of an asset for one day.

    ``version`` is the data version (empty for none); ``passed`` and ``check_metadata`` belong to the asset's check.
    """

    day: date
    metadata: Mapping[str, Any]
    version: str = ""
    passed: bool = True
    check_metadata: Mapping[str, Any] = field(default_factory=dict)


def daily_partitions(first: date) -> dg.DailyPartitionsDefinition:
    """Return one partition per UTC day from ``first`` to today, which is included (``end_offset=1``)."""
    return dg.DailyPartitionsDefinition(start_date=first.isoformat(), timezone="UTC", end_offset=1)


def partition_days(context: dg.AssetExecutionContext) -> list[date]:
    """Return the days of a run, oldest first."""
    return [parse_day(key) for key in context.partition_keys]


def require_evidence(context: Context, days: Sequence[date]) -> None:
    """Refuse a range of days in which a past day has no evidence.

    Dagster cannot mark a single partition of a run as failed: the day without evidence would look materialised.

    Raises:
        DayRefused: if there is such a day; the message lists them.
    """
    if len(days) == 1:
        return
    today = context.clock.today()
    known = set(context.ledger.days())
    missing = [day for day in days if day < today and day not in known]
    if missing:
        count = f"{len(missing)} of these {len(days)} days {'has' if len(missing) == 1 else 'have'} no evidence"
        raise DayRefused(
            f"{count}: {list_days(missing)}. A live database only shows today: launch one run per day, or a range "
            "without them.")


def list_days(days: Sequence[date]) -> str:
    """Return the days separated by commas; of a long list, the first ones and how many more there are."""
    text = ", ".join(day.isoformat() for day in days[:_LISTED_DAYS])
    return f"{text} and {len(days) - _LISTED_DAYS} more" if len(days) > _LISTED_DAYS else text


def asset_result(
    context: dg.AssetExecutionContext, check_name: str | None, results: Sequence[DayResult]
) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Return the result of an asset for the days of a run.

    With several days, each partition receives its own metadata, and the check passes only if it passes for all days.
    """
    if len(results) == 1:
        [result] = results
        return dg.MaterializeResult(
            metadata=result.metadata,
            data_version=dg.DataVersion(result.version) if result.version else None,
            check_results=_check(check_name, result.passed, result.check_metadata),
        )
    for result in results:
        context.add_asset_metadata(result.metadata, partition_key=result.day.isoformat())
    failed = [result.day.isoformat() for result in results if not result.passed]
    return dg.MaterializeResult(
        check_results=_check(check_name, not failed, {"days": len(results), "failed": ", ".join(failed)}))


def _check(name: str | None, passed: bool, metadata: Mapping[str, Any]) -> list[dg.AssetCheckResult] | None:
    return [dg.AssetCheckResult(check_name=name, passed=passed, metadata=metadata)] if name else None
