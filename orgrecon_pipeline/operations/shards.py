"""Comparing all databases of a day: the only pair, or every shard at the same time."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import groupby

from orgrecon_pipeline.domain.errors import CannotDecide, ConfigurationError
from orgrecon_pipeline.domain.evidence import KINDS, EntityTotals, Observation, Sample, TenantRow
from orgrecon_pipeline.domain.mapping import Mapping
from orgrecon_pipeline.operations.admission import Admission
from orgrecon_pipeline.operations.context import ONLY, Context
from orgrecon_pipeline.operations.pins import by_shard
from orgrecon_pipeline.source.compare import compare
from orgrecon_pipeline.source.comparison import Comparison
from orgrecon_pipeline.source.dsn import Places

Progress = Callable[[str], None]
Wait = Callable[[float], None]

_FIGURES = ("source_rows", "target_rows", *KINDS, "transient")
_NAMED = 3


class ShardsUndecided(CannotDecide):
    """Some shards could not be compared; ``decided`` holds what was found in the others."""

    def __init__(self, reason: str, decided: dict[str, Comparison]) -> None:
        super().__init__(reason)
        self.decided = decided


def compare_places(
    context: Context, places: dict[str, Places], admission: Admission, *, exact: bool, progress: Progress, wait: Wait
) -> Comparison:
    """Compare the databases of a day.

    Of shards, those that an earlier attempt of the day decided while others failed are not compared again.

    Raises:
        CannotDecide: when that could not be completed.
        ConfigurationError: when a tenant is in two shards.
        DayRefused: when a database cannot speak for the day.
    """
    mapping = admission.mapping

    def one(name: str, say: Progress) -> Comparison:
        return compare(
            mapping, places[name], exact=exact, admit=lambda snapshot: admission.admit(name, snapshot),
            progress=say, wait=wait,
        )

    if places.keys() == {ONLY}:
        return one(ONLY, progress)
    started = time.monotonic()
    found, reused_from = _decided_earlier(context, admission, exact)
    for name in found:
        progress(f"shard {name}: compared already by observation {reused_from[name]}")
    failures: dict[str, str] = {}
    with ThreadPoolExecutor(max_workers=mapping.scan.shards_at_once, thread_name_prefix="shard") as pool:
        running = {name: pool.submit(one, name, _of_shard(name, progress)) for name in places if name not in found}
        for done, (name, future) in enumerate(running.items(), start=1):
            if failure := _failure(future):
                failures[name] = failure
            else:
                found[name] = future.result()
            progress(f"shard {name}: {failure or _size(found[name])}; {done} of {len(running)} shards are done")
    _one_home(found)
    if failures:
        listed = "; ".join(f"shard {name}: {reason}" for name, reason in sorted(failures.items())[:_NAMED])
        more = f"; and {len(failures) - _NAMED} more shards" if len(failures) > _NAMED else ""
        raise ShardsUndecided(listed + more, {
            name: comparison for name, comparison in found.items()
            if name not in reused_from and not comparison.unsettled_keys
        })
    return united(mapping, found, reused_from, time.monotonic() - started)


def keep_decided(context: Context, observation: Observation, decided: dict[str, Comparison], *, exact: bool) -> None:
    """Keep what was found in some shards while others failed, for the next attempt of the day."""
    for name, comparison in sorted(decided.items()):
        context.ledger.keep_shard(observation.id, name, exact, comparison.as_json_value())


def united(
    mapping: Mapping, found: dict[str, Comparison], reused_from: dict[str, str], seconds: float
) -> Comparison:
    """The comparison of all shards as one."""
    parts = [found[name] for name in sorted(found)]
    methods = sorted({part.how["digest_method"] for part in parts})
    databases = {
        name: {**part.databases, "seconds": part.how["seconds"], "tenants": len(part.present),
               **({"reused_from": reused_from[name]} if name in reused_from else {})}
        for name, part in found.items()
    }
    return Comparison(
        observed_at=min(part.observed_at for part in parts),
        databases=by_shard(databases),
        totals={name: _sum_totals([part.totals[name] for part in parts]) for name in mapping.entities},
        present=frozenset().union(*(part.present for part in parts)),
        declared=None if mapping.tenants is None else frozenset().union(*(part.declared or () for part in parts)),
        tenant_rows=_listed([row for part in parts for row in part.tenant_rows], mapping.report.breakdown_limit),
        samples=_first_samples([sample for part in parts for sample in part.samples], mapping.report.sample_keys),
        values={
            name: {column: sum(part.values[name][column] for part in parts) for column in parts[0].values[name]}
            for name in mapping.entities
        },
        unsettled_keys=sum(part.unsettled_keys for part in parts),
        how={
            **parts[0].how,
            "digest_method": " and ".join(methods),
            "rechecks_done": max(part.how["rechecks_done"] for part in parts),
            "seconds": round(seconds, 3),
        },
    )


def _decided_earlier(
    context: Context, admission: Admission, exact: bool
) -> tuple[dict[str, Comparison], dict[str, str]]:
    """What attempts of this day since its last decided one found in single shards, and which attempt it was."""
    found: dict[str, Comparison] = {}
    attempt: dict[str, str] = {}
    for seen in reversed(context.ledger.observations(admission.day)):
        same = (seen.mapping_digest, seen.provenance) == (context.mapping.digest, admission.provenance)
        if seen.verdict.decided or not same:
            break
        for name, value in context.ledger.shards(seen.id, exact).items():
            if name not in found:
                found[name], attempt[name] = Comparison.from_json_value(value), seen.id
    return found, attempt


def _failure(future: Future[Comparison]) -> str:
    try:
        future.result()
    except CannotDecide as failure:
        return failure.reason
    return ""


def _size(found: Comparison) -> str:
    rows = sum((totals.source_rows or 0) + (totals.target_rows or 0) for totals in found.totals.values())
    return f"{len(found.present):,} tenants, {rows:,} rows"


def _of_shard(name: str, progress: Progress) -> Progress:
    return lambda line: progress(f"shard {name}: {line}")


def _one_home(found: dict[str, Comparison]) -> None:
    home: dict[str, str] = {}
    for name, part in sorted(found.items()):
        for tenant in sorted(part.present & home.keys())[:1]:
            raise ConfigurationError(
                f"tenant {tenant!a} has rows in shard {home[tenant]} and in shard {name}: a tenant lives in one; "
                "correct the shards of the mapping, or its where."
            )
        home.update(dict.fromkeys(part.present, name))


def _sum_totals(parts: list[EntityTotals]) -> EntityTotals:
    return EntityTotals(**{figure: sum(getattr(part, figure) or 0 for part in parts) for figure in _FIGURES})


def _listed(rows: list[TenantRow], limit: int) -> tuple[TenantRow, ...]:
    """All rows of tenants that drift or did for a moment, and those of the first others."""
    tenants: dict[str, list[TenantRow]] = {}
    for row in rows:
        tenants.setdefault(row.tenant, []).append(row)
    seen = sorted(name for name, each in tenants.items() if any(row.drift or row.transient for row in each))
    others = sorted(tenants.keys() - set(seen))[:limit]
    return tuple(row for name in (*seen, *others) for row in tenants[name])


def _first_samples(samples: list[Sample], limit: int) -> tuple[Sample, ...]:
    def place(sample: Sample) -> tuple[str, str]:
        return sample.entity, sample.kind

    kinds = groupby(sorted(samples, key=place), key=place)
    chosen = [sample for _, of_kind in kinds for sample in list(of_kind)[:limit]]
    return tuple(sorted(chosen, key=lambda s: (s.entity, s.tenant, list(s.key.values()), s.kind)))
