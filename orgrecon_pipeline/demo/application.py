"""The demo's application: changes both models in one transaction each, and publishes the dual-write metrics."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from itertools import cycle
from pathlib import Path
from typing import Any

import psycopg
from prometheus_client import CollectorRegistry, write_to_textfile

from orgrecon_pipeline.demo.company import ROLES, random_uuid
from orgrecon_pipeline.metrics.dual_write import SIDES, DualWriteMetrics
from orgrecon_pipeline.metrics.exporter import make_exporter

_SECONDS_BETWEEN_WRITES = 0.05
_ENTITIES = {"rename_team": "org_units", "add_member": "org_unit_memberships",
             "change_role": "org_unit_memberships", "remove_member": "org_unit_memberships"}


class Application:
    """Background thread that renames teams and edits memberships; a context manager that starts and stops it.

    ``tenants`` must leave out tenants with injected drift: a write could repair it.
    """

    def __init__(self, dsn: str, tenants: Sequence[str], metrics: DualWriteMetrics) -> None:
        self._dsn = dsn
        self._tenants = list(tenants)
        self._metrics = metrics
        self._rng = random.Random(1)  # noqa: S311 (demo data, not a secret)
        self._stopping = threading.Event()
        self._started = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.writes = 0

    def __enter__(self) -> Application:
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._stopping.set()
        self._thread.join()
        if self._failure is not None and error is None:
            raise self._failure

    def _run(self) -> None:
        try:
            with psycopg.connect(self._dsn, autocommit=True) as connection:
                members = connection.execute(
                    "SELECT m.tenant_id, m.team_id, m.user_id FROM public.team_members m JOIN public.teams t "
                    "ON t.tenant_id = m.tenant_id AND t.id = m.team_id AND t.deleted_at IS NULL "
                    "WHERE m.tenant_id = ANY (%s)", (self._tenants,)).fetchall()
                for number, change in enumerate(cycle(_ENTITIES)):
                    self._write(connection, number, change, members)
                    self._started.set()
                    if self._stopping.wait(_SECONDS_BETWEEN_WRITES):
                        return
        except BaseException as error:  # raised again in the thread that stops the application
            self._failure = error
        finally:
            self._started.set()

    def _write(
        self, connection: psycopg.Connection[Any], number: int, change: str, members: list[tuple[Any, ...]]
    ) -> None:
        index = self._rng.randrange(len(members))
        tenant, team, user = members[index]
        if change == "add_member":
            user = random_uuid(self._rng)
            members.append((tenant, team, user))
        elif change == "remove_member":
            members[index] = members[-1]
            members.pop()
        parameters = {"tenant": tenant, "team": team, "user": user, "role": self._rng.choice(ROLES),
                      "name": f"Team {number}"}
        with connection.transaction():
            for side in SIDES:
                connection.execute(_statements()[f"{side}.{change}"], parameters)
        self.writes += 1
        for side in SIDES:
            self._metrics.wrote(_ENTITIES[change], side, number, success=True)


@contextmanager
def published_metrics(entities: Sequence[str], *, port: int, textfile: Path) -> Iterator[tuple[DualWriteMetrics, str]]:
    """Yield dual-write metrics and the URL that serves them; write ``textfile`` when the block ends."""
    registry = CollectorRegistry()
    metrics = DualWriteMetrics(registry, entities)
    server = make_exporter(registry, host="127.0.0.1", port=port)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield metrics, f"http://127.0.0.1:{server.server_port}/metrics"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        write_to_textfile(str(textfile), registry)


@cache
def _statements() -> dict[str, bytes]:
    text = (files("orgrecon_pipeline.demo") / "sql/application.sql").read_text(encoding="utf-8")
    sections = (section.split("\n", 1) for section in text.split("-- name: ")[1:])
    return {name.strip(): statement.strip().encode() for name, statement in sections}
