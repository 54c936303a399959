"""Evidence from a point-in-time recovery: base backup, archived WAL, and a target time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orgrecon_pipeline.domain.coverage import CoverageChange, CoverageEvent, CoverageSubject
from orgrecon_pipeline.domain.errors import DayRefused, UsageError
from orgrecon_pipeline.domain.evidence import Observation, Provenance, Verdict
from orgrecon_pipeline.operations.context import Context
from orgrecon_pipeline.operations.observe.acknowledge import acknowledge_coverage
from orgrecon_pipeline.operations.observe.observe import observe
from orgrecon_pipeline_tests.support.operations.base_backup import (
    archive_wal,
    archived_site,
    promote,
    recovered_site,
    take_base_backup,
)
from orgrecon_pipeline_tests.support.operations.postgres_server import PostgresServer
from orgrecon_pipeline_tests.support.operations.site import Site

LOST = "customer_lost"


@dataclass
class Recovery:
    """A server with archived WAL and a base backup.

    ``clean`` is a time after a tenant was added; ``drifted`` is a later time, after a membership was lost on one side.
    """

    server: PostgresServer
    site: Site
    clean: datetime
    drifted: datetime
    stack: ExitStack

    def to(self, moment: datetime) -> tuple[PostgresServer, Site]:
        """Return a server that was recovered to ``moment``, and a site that reads it."""
        return recovered_site(self.stack, self.server, self.site, recovery_target_time=moment.isoformat())


@pytest.fixture
def recovery(template_sql: str, tmp_path: Path) -> Iterator[Recovery]:
    with ExitStack() as stack:
        server, site = archived_site(stack, template_sql, tmp_path, tenants=3)
        take_base_backup(server)
        site.run("INSERT INTO public.tenants VALUES ('newcomer')")
        clean = _now(site.admin)
        site.run("DELETE FROM public.team_members WHERE ctid = (SELECT min(ctid) FROM public.team_members)")
        drifted = _now(site.admin)
        site.run("CREATE TABLE public.later ()")  # recovery stops at the first commit after its target
        archive_wal(server, site.admin)
        yield Recovery(server, site, clean, drifted, stack)


def test_point_in_time_recovery_is_evidence_for_its_day(recovery: Recovery) -> None:
    """The day passes before the loss, fails after it, and is refused once the server was promoted."""
    day = recovery.clean.date()
    assert recovery.site.observe().verdict is Verdict.FAIL, "the membership is lost"
    server, site = recovery.to(recovery.clean)
    found = restored(site, day)
    assert (found.verdict, found.provenance, found.tenants_scanned) == (Verdict.PASS, Provenance.RESTORED, 4), found
    assert found.observed_at is not None
    assert found.observed_at <= recovery.clean
    _, after = recovery.to(recovery.drifted)
    assert (restored(after, day).verdict, restored(after, day).entities["org_unit_memberships"].unexpected) == (
        Verdict.FAIL, 1)
    count = len(site.ledger.observations(day))
    with pytest.raises(DayRefused, match=r"was restored to .* which is not"):
        restored(site, day - timedelta(days=1))
    # If recovery resumes at its target, the server is promoted and may be changed.
    with psycopg.connect(server.dsn(), autocommit=True) as admin:
        promote(admin)
    with pytest.raises(DayRefused, match="restore with recovery_target_time on that day and recovery_target_action = "
                                         "'pause'"):
        restored(site, day)
    assert len(site.ledger.observations(day)) == count

    # Coverage and pins apply as of the restored time, not as of now.
    _check_acknowledgement_of_the_restored_day(recovery, after)
    _check_pins_at_the_restored_time(recovery, after)


def _check_acknowledgement_of_the_restored_day(recovery: Recovery, site: Site) -> None:
    """A tenant that is lost on a restored day stays lost until the loss on that day is acknowledged."""
    day = recovery.clean.date()
    earlier = restored(site, day)
    known = earlier.model_copy(update={
        "id": "earlier", "day": day - timedelta(days=1), "provenance": Provenance.LIVE, "verdict": Verdict.PASS,
        "observed_at": recovery.clean - timedelta(days=1)})
    site.ledger.append(known, (), (), [CoverageEvent(CoverageSubject.TENANT, LOST, CoverageChange.APPEARED)])
    without_universe = site.mapping.model_copy(update={"tenants": None})  # so that the tenant cannot have departed
    site = replace(site, mapping=without_universe)
    for _ in range(2):
        gone = restored(site, day)
        assert f"coverage lost: no row is left on either side of tenant '{LOST}'" in gone.reason
        assert f"run orgrecon acknowledge --date {day}" in gone.reason
        assert gone.compared["coverage"]["lost_count"] == 1
    with pytest.raises(UsageError, match="no complete comparison of a database restored to"):
        acknowledge_coverage(site.context, "it left before that day", day - timedelta(days=1))
    assert acknowledge_coverage(site.context, "it left before that day", day) == [f"tenant {LOST}"]
    excused = restored(site, day)
    assert "coverage lost" not in excused.reason
    assert excused.compared["coverage"]["acknowledged"] == [f"tenant {LOST}"]
    assert LOST in set(site.ledger.known_names(CoverageSubject.TENANT))


def _databases(system_identifier: str, database: str) -> dict[str, Any]:
    pin = {"system_identifier": system_identifier, "database": database}
    return {"databases": {"source": pin, "target": pin}}


def _check_pins_at_the_restored_time(recovery: Recovery, site: Site) -> None:
    """After the database was moved, the restored day must come from the old database."""
    day = recovery.clean.date()
    site.ledger.acknowledge("source", "moved to a new cluster", None, _databases("1", "new"),
                            datetime.now(timezone.utc))
    assert restored(site, day).verdict is Verdict.FAIL
    assert "this is database 'orgs' on server" in recovery.site.observe().reason
    site.ledger.acknowledge("source", "was another one before", None, _databases("2", "old"),
                            recovery.clean - timedelta(hours=1))
    site.ledger.acknowledge("source", "moved to a new cluster", None, _databases("1", "new"),
                            datetime.now(timezone.utc))
    assert "the evidence so far is from 'old' on server 2" in restored(site, day).reason


def restored(site: Site, day: date) -> Observation:
    context = Context(site.mapping, site.ledger, site.directory / "reports", environ={"DATABASE_URL": site.dsn})
    return observe(context, day, restored=True).observation


def _now(admin: psycopg.Connection[Any]) -> datetime:
    """Return a time between the last commit and the next one."""
    row = admin.execute("SELECT clock_timestamp(), pg_sleep(0.002)").fetchone()
    assert row
    moment: datetime = row[0]
    return moment.astimezone(timezone.utc)
