"""Comparing all databases of a day: the only pair, or every shard at the same time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from itertools import groupby

from orgrecon_pipeline.compare.engine import compare
from orgrecon_pipeline.compare.progress import Throttle
from orgrecon_pipeline.compare.result import Comparison
from orgrecon_pipeline.domain.bounded_names import bounded_name
from orgrecon_pipeline.domain.errors import CannotDecide, ConfigurationError, OrgreconError
from orgrecon_pipeline.domain.evidence import KINDS, EntityTotals, Sample, TenantRow
from orgrecon_pipeline.domain.mapping import MappingConfig
from orgrecon_pipeline.domain.tenant_names import TenantNames
from orgrecon_pipeline.operations.context import ONLY, Context
from orgrecon_pipeline.operations.observe.admission import Admission
from orgrecon_pipeline.operations.observe.pinned_databases import by_shard
from orgrecon_pipeline.operations.observe.shard_cache import cached_shards, database_has_changed
from orgrecon_pipeline.operations.redact import internal_error
from orgrecon_pipeline.postgres.dsn import Endpoints
from orgrecon_pipeline.postgres.session import CANCEL_AGAIN_SECONDS, Deadline

Progress = Callable[[str], None]
Wait = Callable[[float], None] | None

_FIGURES = ("source_rows", "target_rows", *KINDS, "transient")
_NAMED = 3


class ShardsUndecided(CannotDecide):
    """Some shards could not be compared; ``decided`` holds what was found in the others."""

    def __init__(self, reason: str, decided: dict[str, Comparison]) -> None:
        super().__init__(reason)
        self.decided = decided


def compare_endpoints(
    context: Context, places: dict[str, Endpoints], admission: Admission, *, exact: bool, progress: Progress, wait: Wait
) -> Comparison:
    """Compare the databases of a day.

    Of shards, those that an earlier attempt of the day decided while others failed are not compared again.

    Raises:
        CannotDecide: when that could not be completed.
        ConfigurationError: when a tenant is in two shards.
        DayRefused: when a database cannot speak for the day.
    """

    def one(name: str, say: Progress, deadline: Deadline) -> Comparison:
        return compare(
            admission.mapping, places[name], exact=exact, admit=lambda snapshot: admission.admit(name, snapshot),
            progress=say, wait=wait, deadline=deadline,
        )

    if places.keys() == {ONLY}:
        return one(ONLY, progress, Deadline(admission.mapping.scan.deadline_seconds))
    started = time.monotonic()
    found, reused_from = cached_shards(context, admission, exact)
    with ThreadPoolExecutor(admission.mapping.scan.shards_at_once) as pool:
        elsewhere = pool.map(lambda name: database_has_changed(context, places[name], found[name]), names := list(found))
        for name in [name for name, moved in zip(names, elsewhere, strict=True) if moved]:
            del found[name], reused_from[name]
    for name in found:
        progress(f"shard {name}: compared already by observation {reused_from[name]}")
    failures: dict[str, str] = {}
    missing = [name for name in places if name not in found]
    while missing:
        compared, failed = _AtOnce(admission.mapping, one, progress).compare(missing)
        found, failures = {**found, **compared}, {**failures, **failed}
        # A tenant can have moved to another shard since an earlier attempt read that one.
        missing = sorted(_sharing_a_tenant(found) & reused_from.keys())
        for name in missing:
            del found[name], reused_from[name]
    _one_home(found)
    if failures:
        listed = "; ".join(f"shard {name}: {reason}" for name, reason in sorted(failures.items())[:_NAMED])
        more = f"; and {len(failures) - _NAMED} more shards" if len(failures) > _NAMED else ""
        raise ShardsUndecided(listed + more, {
            name: comparison for name, comparison in found.items()
            if name not in reused_from and not comparison.unsettled_keys
        })
    return united(admission.mapping, found, reused_from, time.monotonic() - started)


class _AtOnce:
    """Compares shards at the same time, and stops all of them when one cannot go on or somebody interrupts."""

    def __init__(
        self, mapping: MappingConfig, one: Callable[[str, Progress, Deadline], Comparison], progress: Progress
    ) -> None:
        self._mapping, self._one, self._progress = mapping, one, progress
        self._running: set[Deadline] = set()
        self._stopped = False
        self._lock = threading.Lock()
        self._speaking = threading.Lock()
        self._now_and_then = Throttle(self._say)

    def compare(self, names: Sequence[str]) -> tuple[dict[str, Comparison], dict[str, str]]:
        """What was found, and why the others failed."""
        found: dict[str, Comparison] = {}
        failures: dict[str, str] = {}
        with ThreadPoolExecutor(self._mapping.scan.shards_at_once, thread_name_prefix="shard") as pool:
            running: dict[Future[Comparison], str] = {}
            try:
                for name in names:
                    running[pool.submit(self._compare, name)] = name
                for done, future in enumerate(_as_completed(running), start=1):
                    name = running[future]
                    if failure := _failure(future):
                        failures[name] = failure
                    else:
                        found[name] = future.result()
                    self._say(f"shard {name}: {failure or _size(found[name])}; {done} of {len(names)} shards are done")
            except BaseException:
                self._stop(running)
                raise
        return found, failures

    def _compare(self, name: str) -> Comparison:
        deadline = Deadline(self._mapping.scan.deadline_seconds)
        with self._lock:
            self._running.add(deadline)
            if self._stopped:
                deadline.stop()
        try:
            return self._one(name, lambda line: self._now_and_then(f"shard {name}: {line}"), deadline)
        finally:
            with self._lock:
                self._running.discard(deadline)

    def _say(self, line: str) -> None:
        with self._speaking:
            self._progress(line)

    def _stop(self, running: Iterable[Future[Comparison]]) -> None:
        for future in running:
            future.cancel()
        self._stopped = True
        while True:
            with self._lock:
                deadlines = list(self._running)
            for deadline in deadlines:
                deadline.stop()
            if not wait_for(running, timeout=CANCEL_AGAIN_SECONDS).not_done:
                return


def united(
    mapping: MappingConfig, found: dict[str, Comparison], reused_from: dict[str, str], seconds: float
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
        present=TenantNames().union(*(part.present for part in parts)),
        declared=_declared(parts),
        tenant_rows=_listed(found, mapping.report.breakdown_limit),
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
        shards=found,
    )


def _as_completed(running: Iterable[Future[Comparison]]) -> Iterator[Future[Comparison]]:
    # Not the library's: that waits without end, and hears of no signal that another thread was given.
    pending = set(running)
    while pending:
        done, pending = wait_for(pending, timeout=CANCEL_AGAIN_SECONDS, return_when=FIRST_COMPLETED)
        yield from done


def _failure(future: Future[Comparison]) -> str:
    try:
        future.result()
    except CannotDecide as failure:
        return failure.reason
    except OrgreconError:
        raise
    except Exception as error:  # a bug, or no memory: the other shards do not depend on it
        return f"{internal_error(error)}: nothing was decided, report it"
    return ""


def _size(found: Comparison) -> str:
    rows = sum((totals.source_rows or 0) + (totals.target_rows or 0) for totals in found.totals.values())
    return f"{len(found.present):,} tenants, {rows:,} rows"


def _one_home(found: dict[str, Comparison]) -> None:
    for tenant, name, other in _in_two(found):
        raise ConfigurationError(
            f"tenant {tenant!a} has rows in shard {name} and in shard {other}: a tenant lives in one; "
            "correct the shards of the mapping, or its where."
        )


def _sharing_a_tenant(found: dict[str, Comparison]) -> set[str]:
    return {shard for _, *shards in _in_two(found) for shard in shards}


def _in_two(found: dict[str, Comparison]) -> Iterator[tuple[str, str, str]]:
    """Tenants that have rows in two shards, with both: one for each shard that shares any with those before it."""
    home: dict[str, str] = {}
    for name, part in sorted(found.items()):
        shared = next((tenant for tenant in part.present if tenant in home), None)
        if shared is not None:
            yield shared, home[shared], name
        home.update(dict.fromkeys(part.present, name))


def _declared(parts: list[Comparison]) -> TenantNames | None:
    declared = [part.declared for part in parts if part.declared is not None]
    return TenantNames().union(*declared) if declared else None


def _sum_totals(parts: list[EntityTotals]) -> EntityTotals:
    return EntityTotals(**{figure: sum(getattr(part, figure) or 0 for part in parts) for figure in _FIGURES})


def _listed(found: dict[str, Comparison], limit: int) -> tuple[TenantRow, ...]:
    """All rows of tenants that drift or did for a moment, and those of the first others."""
    # Every shard may declare every tenant, and then lists those of the others too, as ones without rows.
    listed = {row.tenant for part in found.values() for row in part.tenant_rows}
    home = {tenant: name for name, part in found.items() for tenant in map(bounded_name, part.present) if tenant in listed}
    tenants: dict[str, list[TenantRow]] = {}
    for name, part in sorted(found.items()):
        for row in part.tenant_rows:
            if home.setdefault(row.tenant, name) == name:
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
