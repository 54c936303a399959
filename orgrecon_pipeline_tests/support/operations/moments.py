"""Moments in the middle of a comparison, made by locks and not by waiting."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg

from orgrecon_pipeline.domain.evidence import Observation
from orgrecon_pipeline_tests.support.operations.site import Site

# What a scan of org_units waits for while somebody holds it exclusively; preflight reads no row, and does not wait.
GATE = "(SELECT pg_catalog.pg_advisory_xact_lock_shared(4711)) IS NOT NULL"
PATIENT = {"lock_timeout_seconds": 60.0, "statement_timeout_seconds": 60.0}
_LONGEST = 60.0


def gated(site: Site, **scan: Any) -> None:
    """Let the scan of both sides of org_units wait for the advisory lock."""
    text = site.mapping.model_dump_json(by_alias=True)
    text = text.replace("deleted_at IS NULL\"", f"deleted_at IS NULL AND {GATE}\"")
    mapping = type(site.mapping).model_validate_json(text)
    assert mapping.digest != site.mapping.digest
    site.mapping = mapping.model_copy(update={"scan": mapping.scan.model_copy(update={**PATIENT, **scan})})


def until(condition: Callable[[], Any]) -> Any:
    """The first true answer."""
    end = time.monotonic() + _LONGEST
    while not (answer := condition()):
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.005)
    return answer


def scanning(admin: psycopg.Connection[Any]) -> list[int]:
    """Backends of a comparison that wait for a lock in this database."""
    return [pid for (pid,) in admin.execute(
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'orgrecon' AND datname = current_database() "
        "AND wait_event_type = 'Lock'")]


def left_over(admin: psycopg.Connection[Any]) -> int:
    """Sessions of a comparison that the server still has."""
    row = admin.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'orgrecon' "
                        "AND datname = current_database()").fetchone()
    assert row
    return int(row[0])


class Background:
    """An observation in a thread of its own."""

    def __init__(self, site: Site, **how: Any) -> None:
        self._site, self._how = site, how
        self._answer: list[Observation | BaseException] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def result(self) -> Observation:
        """The observation, or what was raised."""
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
