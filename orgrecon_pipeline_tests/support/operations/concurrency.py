"""Control over running comparisons with locks instead of waiting times."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import psycopg

from orgrecon_pipeline.domain.evidence import Observation
from orgrecon_pipeline_tests.support.operations.site import Site

Result = TypeVar("Result")

# A scan of org_units waits here while another session holds the lock. Preflight checks read no rows, so do not wait.
WAIT_FOR_LOCK = "(SELECT pg_catalog.pg_advisory_xact_lock_shared(4711)) IS NOT NULL"
LONG_TIMEOUTS = {"lock_timeout_seconds": 60.0, "statement_timeout_seconds": 60.0}
_LONGEST = 60.0


def hold_scans(site: Site, **scan: Any) -> None:
    """Make the scans of both sides of org_units wait for the advisory lock."""
    text = site.mapping.model_dump_json(by_alias=True)
    text = text.replace("deleted_at IS NULL\"", f"deleted_at IS NULL AND {WAIT_FOR_LOCK}\"")
    mapping = type(site.mapping).model_validate_json(text)
    assert mapping.digest != site.mapping.digest
    site.mapping = mapping.model_copy(update={"scan": mapping.scan.model_copy(update={**LONG_TIMEOUTS, **scan})})


def wait_until(condition: Callable[[], Any], seconds: float = _LONGEST) -> Any:
    """Return the first true result of ``condition``."""
    end = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < end, "the condition did not become true"
        time.sleep(0.005)
    return answer


def at_the_same_time(count: int, act: Callable[[], Result]) -> list[Result]:
    """Call ``act`` in that many threads, which start together, and return the results."""
    barrier = threading.Barrier(count)

    def wait_and_act(_: int) -> Result:
        barrier.wait()
        return act()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(wait_and_act, range(count)))


def blocked_backends(admin: psycopg.Connection[Any]) -> list[int]:
    """Return the process ids of the comparison's backends that wait for a lock in this database."""
    return [pid for (pid,) in admin.execute(
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'orgrecon' AND datname = current_database() "
        "AND wait_event_type = 'Lock'")]


def open_sessions(admin: psycopg.Connection[Any]) -> int:
    """Return the number of sessions of a comparison in this database."""
    row = admin.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'orgrecon' "
                        "AND datname = current_database()").fetchone()
    assert row
    return int(row[0])


class BackgroundObservation:
    """An observation in a background thread."""

    def __init__(self, site: Site, **how: Any) -> None:
        self._site, self._how = site, how
        self._answer: list[Observation | BaseException] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def result(self) -> Observation:
        """Return the observation, or raise the exception that ended it."""
        self._thread.join(_LONGEST)
        assert self._answer, "the observation did not end"
        [answer] = self._answer
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def _run(self) -> None:
        try:
            self._answer.append(self._site.observe(**self._how))
        except BaseException as error:
            self._answer.append(error)


class InBackground(BackgroundObservation):
    """Any function in a background thread."""

    def __init__(self, act: Callable[[], Any]) -> None:
        self.observe = lambda: act()
        super().__init__(self)  # type: ignore[arg-type]
