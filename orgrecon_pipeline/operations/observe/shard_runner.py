"""Concurrent work on shards, such as their comparison."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

from orgrecon_pipeline.compare.progress import Throttle
from orgrecon_pipeline.compare.result import Comparison
from orgrecon_pipeline.domain import reasons
from orgrecon_pipeline.domain.errors import CannotDecide, OrgreconError
from orgrecon_pipeline.domain.mapping.model import ScanSettings
from orgrecon_pipeline.domain.reasons import Reason, ReasonCode, counted
from orgrecon_pipeline.operations.redact import internal_error
from orgrecon_pipeline.postgres.cancellation import as_completed, cancelled_on_error
from orgrecon_pipeline.postgres.deadline import Deadline

Progress = Callable[[str], None]
Result = TypeVar("Result")
#: Compares or reads one shard, given its name, a progress listener and a deadline.
ReadShard = Callable[[str, Progress, Deadline], Result]

_NAMED = 3


class ShardsUndecided(CannotDecide):
    """Some shards could not be compared. ``decided`` has the comparisons of the other shards."""

    def __init__(self, failures: dict[str, Reason], decided: dict[str, Comparison]) -> None:
        named = {name: failures[name] for name in sorted(failures)[:_NAMED]}
        sentences = [f"shard {name}: {reason.sentence}" for name, reason in named.items()]
        if more := len(failures) - len(named):
            sentences.append(f"and {counted(more, 'more shard')}")
        super().__init__(
            "; ".join(sentences), ReasonCode.SHARDS_UNDECIDED, failed=len(failures),
            shards={name: reason.as_parameters() for name, reason in named.items()})
        self.decided = decided


class ShardRunner(Generic[Result]):
    """Works on shards concurrently, and stops all of them on an interrupt or an error that ends the run.

    ``describe`` returns the size of a result for the progress messages.
    """

    def __init__(
        self, scan: ScanSettings, read_shard: ReadShard[Result], progress: Progress, describe: Callable[[Result], str]
    ) -> None:
        self._scan, self._read_shard, self._progress, self._describe = scan, read_shard, progress, describe
        self._running: set[Deadline] = set()
        self._lock = threading.Lock()
        self._progress_lock = threading.Lock()
        self._throttled_progress = Throttle(self._report)

    def run(self, names: Sequence[str]) -> tuple[dict[str, Result], dict[str, Reason]]:
        """Return the results by shard, and the reasons of the shards that failed."""
        results: dict[str, Result] = {}
        failures: dict[str, Reason] = {}
        with ThreadPoolExecutor(self._scan.shards_at_once, thread_name_prefix="shard") as pool:
            running: dict[Future[Result | Reason], str] = {}
            with cancelled_on_error(running.keys(), self._stop):
                for name in names:
                    running[pool.submit(self._run_one, name)] = name
                for done, future in enumerate(as_completed(running.keys()), start=1):
                    name, result = running[future], future.result()
                    if isinstance(result, Reason):
                        failures[name], outcome = result, result.sentence
                    else:
                        results[name], outcome = result, self._describe(result)
                    self._report(f"shard {name}: {outcome}; {done} of {len(names)} shards done")
        return results, failures

    def _run_one(self, name: str) -> Result | Reason:
        """Return the result of a shard, or why there is none."""
        deadline = Deadline(self._scan.deadline_seconds)
        with self._lock:
            self._running.add(deadline)
        try:
            return self._read_shard(name, lambda line: self._throttled_progress(f"shard {name}: {line}"), deadline)
        except CannotDecide as failure:
            return failure.reason
        except OrgreconError:
            raise
        except Exception as error:  # a bug or no memory: the other shards can still be decided
            return reasons.internal_error(internal_error(error))
        finally:
            with self._lock:
                self._running.discard(deadline)

    def _report(self, line: str) -> None:
        with self._progress_lock:
            self._progress(line)

    def _stop(self) -> None:
        with self._lock:
            deadlines = list(self._running)
        for deadline in deadlines:
            deadline.stop()


def size_of(comparison: Comparison) -> str:
    """Return the size of a comparison for a progress message."""
    rows = sum(totals.rows or 0 for totals in comparison.totals.values())
    return f"{counted(len(comparison.present), 'tenant')}, {counted(rows, 'row')}"
