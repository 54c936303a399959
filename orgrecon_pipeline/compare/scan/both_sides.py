"""Statements that two databases, one for each side, run concurrently."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from itertools import chain, islice
from typing import Any

from orgrecon_pipeline.compare.scan.merge_join import Row
from orgrecon_pipeline.domain.mapping.model import SIDES
from orgrecon_pipeline.postgres.cancellation import Result, as_completed, cancelled_on_error
from orgrecon_pipeline.postgres.session import CHUNK_ROWS, Session
from orgrecon_pipeline.postgres.sql_files import Statement


class BothSides:
    """The session of each side. ``inspect`` is called with a side after each statement, and raises if it is not safe.
    """

    def __init__(self, sessions: Mapping[str, Session], inspect: Callable[[str], None]) -> None:
        self._sessions, self._inspect = sessions, inspect

    def run(self, task: Callable[[str], Result]) -> tuple[Result, Result]:
        """Run a task for each side concurrently, and return the results. If one fails, cancel the other."""
        source, target = self._run(task)
        for side in SIDES:
            self._inspect(side)
        return source, target

    @contextmanager
    def streams(
        self, name: str, statements: Mapping[str, Statement], parameters: dict[str, Any], settings: dict[str, str],
        work_mem: str | None = None, *, chunk: int = CHUNK_ROWS,
    ) -> Iterator[tuple[Iterator[Row], Iterator[Row]]]:
        """Yield the rows of each side's statement, fetched in chunks of some rows."""
        with ExitStack() as stack:
            for session in self._sessions.values():
                stack.enter_context(session.planner_settings(settings, work_mem))
            streams = {
                side: session.stream(statements[side], f"{name}.{side}", {
                    **parameters, "tenants": session.encoding.expressible(parameters.get("tenants", ()))},
                    chunk=chunk)
                for side, session in self._sessions.items()}
            try:
                source, target = self._run(lambda side: list(islice(streams[side], 1)))
                yield chain(source, streams["source"]), chain(target, streams["target"])
            finally:
                # A stream that is not read to its end occupies its connection, and a rollback would wait for it.
                for rows in streams.values():
                    with suppress(ValueError):  # a thread still waits for the first row; the cancellation ends that
                        rows.close()
            for side in SIDES:
                self._inspect(side)

    def _run(self, task: Callable[[str], Result]) -> tuple[Result, Result]:
        with ThreadPoolExecutor(max_workers=len(SIDES)) as pool:
            futures = {side: pool.submit(task, side) for side in SIDES}

            def cancel() -> None:
                for side, future in futures.items():
                    if not future.done():
                        self._sessions[side].cancel()

            with cancelled_on_error(futures.values(), cancel):
                for future in as_completed(futures.values()):
                    future.result()
            return futures["source"].result(), futures["target"].result()
