"""Standbys and restored servers: when they are evidence for a day."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

from orgrecon_pipeline.demo.postgres_binaries import find_binaries
from orgrecon_pipeline.demo.server import EmbeddedServer
from orgrecon_pipeline.domain.coverage import CoverageSubject
from orgrecon_pipeline.domain.errors import DayRefused
from orgrecon_pipeline.domain.evidence import Provenance, Verdict
from orgrecon_pipeline.domain.mapping.model import Heartbeat
from orgrecon_pipeline.domain.record import instant_text
from orgrecon_pipeline.operations.clock import Clock
from orgrecon_pipeline.operations.context import Context
from orgrecon_pipeline.operations.observe.observe import observe
from orgrecon_pipeline_tests.support.default_identity import read_report
from orgrecon_pipeline_tests.support.environ import inherited_environ
from orgrecon_pipeline_tests.support.operations.concurrency import (
    BackgroundObservation,
    blocked_backends,
    hold_scans,
    wait_until,
)
from orgrecon_pipeline_tests.support.operations.postgres_server import PostgresServer, postgres_server
from orgrecon_pipeline_tests.support.operations.site import READER, Site, fast_mapping, make_site
from orgrecon_pipeline_tests.support.python_process import ORGRECON, run_python

MONITOR = "orgrecon_monitor"
A_LOSS = "DELETE FROM public.team_members WHERE ctid = (SELECT min(ctid) FROM public.team_members)"


@dataclass
class Pair:
    """A primary and its standby, with a site for each."""

    primary: EmbeddedServer
    standby: PostgresServer
    site: Site
    behind: psycopg.Connection[Any]

    @property
    def reader(self) -> Site:
        """A site that reads the standby."""
        return replace(self.site, dsn=self.standby.dsn("orgs", READER), admin=self.behind)

    @property
    def monitor(self) -> Site:
        """A site that reads the standby as a role that may read pg_stat_wal_receiver."""
        return replace(self.site, dsn=self.standby.dsn("orgs", MONITOR), admin=self.behind)

    def restart(self, max_standby_streaming_delay: str = "0") -> None:
        """Restart the standby, after which it has replayed no transaction."""
        self.site.run("CHECKPOINT")
        self.caught_up()
        self.behind.execute("CHECKPOINT")
        self.behind.close()
        self.standby.stop()
        self.standby.start(max_standby_streaming_delay=max_standby_streaming_delay)
        self.behind = psycopg.connect(self.standby.dsn("orgs"), autocommit=True)
        assert self.ask("SELECT pg_last_xact_replay_timestamp()") is None

    def caught_up(self, what: str = "replay") -> None:
        """Wait until the standby has replayed (or received) all that the primary has written."""
        [(lsn,)] = self.site.admin.execute("SELECT pg_current_wal_flush_lsn()")
        wait_until(lambda: self.ask(f"SELECT pg_last_wal_{what}_lsn() >= '{lsn}'::pg_lsn"))

    def ask(self, query: str) -> Any:
        [(answer,)] = self.behind.execute(query)
        return answer


@pytest.fixture
def pair(template_sql: str, tmp_path: Path) -> Iterator[Pair]:
    with (
        tempfile.TemporaryDirectory(prefix="orgrecon-pg-") as place, EmbeddedServer(Path(place)) as primary,
        psycopg.connect(primary.create_database("orgs"), autocommit=True) as admin,
        postgres_server(find_binaries()) as standby,
    ):
        admin.execute(template_sql)
        site = make_site(admin, primary.dsn("orgs"), tmp_path, tenants=4)
        admin.execute(f"CREATE ROLE {MONITOR} LOGIN IN ROLE {READER}, pg_read_all_stats")
        [socket] = parse_qs(urlsplit(primary.dsn()).query)["host"]
        standby.run("pg_basebackup", "-h", socket, "-U", "postgres", "-D", str(standby.data), "-R", "-X", "stream",
                    "-c", "fast")
        standby.start(max_standby_streaming_delay="0")
        pair = Pair(primary, standby, site, psycopg.connect(standby.dsn("orgs"), autocommit=True))
        site.run("SET synchronous_commit = on", "CREATE TABLE public.committed ()")
        pair.caught_up()
        yield pair
        pair.behind.close()


def test_standby_is_evidence_only_while_it_keeps_up(pair: Pair) -> None:
    # Fresh: a transaction was replayed a moment ago.
    fresh = pair.reader.observe()
    assert (fresh.verdict, fresh.provenance) == (Verdict.PASS, Provenance.LIVE), fresh.reason
    shown = fresh.compared["source"]["standby"]
    assert re.fullmatch("[0-9A-F]+/[0-9A-F]+", shown["replay_lsn"])
    assert 0 <= shown["replayed_age_seconds"] <= 60
    assert shown["replayed_at"].startswith(str(fresh.day)[:4])
    assert "standby" not in pair.site.observe().compared["source"]
    # Old, and the role cannot see whether the primary is idle.
    pair.site.mapping = fast_mapping(max_replica_lag_seconds=0.001)
    old = pair.reader.observe()
    assert old.verdict is Verdict.INCONCLUSIVE
    assert "max_replica_lag_seconds (0.001 s)" in old.reason
    assert old.compared["source"]["standby"]["replay_lsn"]
    pair.site.mapping = fast_mapping()

    # Idle: after a restart nothing was replayed, but the WAL receiver shows that nothing is pending.
    pair.restart()
    wait_until(lambda: pair.ask("SELECT latest_end_lsn <= pg_last_wal_replay_lsn() FROM pg_stat_wal_receiver "
                           "WHERE status = 'streaming' UNION ALL SELECT false LIMIT 1"))
    blind = pair.reader.observe()
    assert blind.verdict is Verdict.INCONCLUSIVE
    assert "it has replayed no transaction" in blind.reason
    assert "pg_read_all_stats" in blind.reason
    idle = pair.monitor.observe()
    assert idle.verdict is Verdict.PASS, idle.reason
    assert idle.compared["source"]["standby"]["caught_up_seconds"] <= 60

    # Behind: the loss was received but not replayed.
    pair.behind.execute("SELECT pg_wal_replay_pause()")
    pair.site.run(A_LOSS)
    pair.caught_up("receive")
    wait_until(lambda: pair.ask("SELECT latest_end_lsn > pg_last_wal_replay_lsn() FROM pg_stat_wal_receiver"))
    assert pair.monitor.observe().verdict is Verdict.INCONCLUSIVE
    pair.behind.execute("SELECT pg_wal_replay_resume()")
    pair.caught_up()
    assert pair.monitor.observe().verdict is Verdict.FAIL

    # Disconnected: the standby cannot know what the stopped primary wrote last.
    pair.restart()
    pair.site.admin.close()
    pair.primary.stop()
    wait_until(lambda: pair.ask("SELECT count(*) = 0 FROM pg_stat_wal_receiver WHERE status = 'streaming'"))
    gone = pair.monitor.observe()
    assert gone.verdict is Verdict.INCONCLUSIVE
    assert "this is a standby" in gone.reason


def test_heartbeat_alone_decides_the_lag_of_a_standby(pair: Pair) -> None:
    """With a heartbeat, an idle primary is not a lag, and an old heartbeat is, whatever the WAL receiver shows."""
    beat = "UPDATE public.heartbeat SET updated_at = now()"
    pair.site.run("CREATE TABLE public.heartbeat AS SELECT now() AS updated_at",
                  f"GRANT SELECT ON public.heartbeat TO {READER}")
    pair.caught_up()
    mapping = fast_mapping()
    heartbeat = Heartbeat.model_validate({"from": "public.heartbeat", "at": "updated_at"})
    pair.site.mapping = mapping.model_copy(
        update={"scan": mapping.scan.model_copy(update={"heartbeat": heartbeat, "max_replica_lag_seconds": 20.0})})
    pair.restart()
    idle = pair.reader.observe()
    assert idle.verdict is Verdict.PASS, idle.reason
    assert idle.compared["source"]["standby"]["replayed_at"] is None, "only the heartbeat shows its age"

    pair.site.run("UPDATE public.heartbeat SET updated_at = now() - interval '1 hour'")
    pair.caught_up()
    wait_until(lambda: pair.ask("SELECT latest_end_lsn <= pg_last_wal_replay_lsn() FROM pg_stat_wal_receiver "
                           "WHERE status = 'streaming' UNION ALL SELECT false LIMIT 1"))
    for site in (pair.reader, pair.monitor):  # a standby of a disconnected standby seems to be up to date too
        old = site.observe()
        assert old.verdict is Verdict.INCONCLUSIVE
        assert "s old, more than max_replica_lag_seconds (20 s)" in old.reason
    pair.behind.execute("SELECT pg_wal_replay_pause()")
    pair.site.run(A_LOSS, beat)
    pair.caught_up("receive")
    assert pair.reader.observe().verdict is Verdict.INCONCLUSIVE, "the heartbeat in the snapshot counts"
    pair.behind.execute("SELECT pg_wal_replay_resume()")
    pair.caught_up()
    assert pair.reader.observe().verdict is Verdict.FAIL


def test_standby_with_paused_replay_at_a_recheck_is_inconclusive(pair: Pair) -> None:
    """A difference that the primary no longer has must not count as drift again."""
    copy = "CREATE TABLE public.kept AS SELECT * FROM public.team_members"
    pair.site.run(copy, A_LOSS)
    pair.caught_up()

    def stall_and_heal(seconds: float) -> None:
        pair.behind.execute("SELECT pg_wal_replay_pause()")
        pair.site.run("INSERT INTO public.team_members SELECT * FROM public.kept EXCEPT SELECT * FROM "
                      "public.team_members")
        pair.caught_up("receive")

    after = pair.reader.observe(wait=stall_and_heal)
    assert after.verdict is Verdict.INCONCLUSIVE
    assert "has not replayed all that it received" in after.reason
    pair.behind.execute("SELECT pg_wal_replay_resume()")
    pair.caught_up()
    assert pair.reader.observe().verdict is Verdict.PASS
    pair.site.run(A_LOSS)
    pair.caught_up()
    assert pair.reader.observe().verdict is Verdict.FAIL, "nothing is pending, so the drift is real"


def test_standby_disconnected_before_a_recheck_is_inconclusive(pair: Pair) -> None:
    """The standby has replayed everything that it received, but it does not receive new writes."""
    pair.site.run("CREATE TABLE public.kept AS SELECT * FROM public.team_members", A_LOSS)
    pair.caught_up()

    def cut_off_and_heal(seconds: float) -> None:
        pair.behind.execute("ALTER SYSTEM SET primary_conninfo = ''")
        pair.behind.execute("SELECT pg_reload_conf()")
        wait_until(lambda: pair.ask("SELECT count(*) = 0 FROM pg_stat_wal_receiver"))
        pair.site.run("INSERT INTO public.team_members SELECT * FROM public.kept EXCEPT SELECT * FROM "
                      "public.team_members")

    after = pair.reader.observe(wait=cut_off_and_heal)
    assert after.verdict is Verdict.INCONCLUSIVE
    assert "no longer receives WAL" in after.reason


def test_recovery_conflict_during_a_scan_is_inconclusive(pair: Pair) -> None:
    reader = pair.reader
    assert reader.observe().verdict is Verdict.PASS
    hold_scans(reader)
    keeper = psycopg.connect(pair.standby.dsn("orgs"), autocommit=True)
    keeper.execute("SELECT pg_advisory_lock(4711)")
    running = BackgroundObservation(reader)
    wait_until(lambda: blocked_backends(pair.behind))
    pair.site.run("TRUNCATE public.org_unit_memberships, public.team_members")
    after = running.result()
    assert after.verdict is Verdict.INCONCLUSIVE
    assert "recovery conflict" in after.reason
    keeper.close()


def test_scan_of_a_standby_gives_way_to_the_replay_of_a_migration(pair: Pair) -> None:
    """Readers of the standby would wait behind the replay until max_standby_streaming_delay."""
    pair.restart(max_standby_streaming_delay="10min")
    reader = pair.reader
    hold_scans(reader, yield_seconds=0.5, max_replica_lag_seconds=86_400.0)
    pair.site.run("CREATE TABLE public.restarted ()")
    pair.caught_up()
    with psycopg.connect(pair.standby.dsn("orgs"), autocommit=True) as keeper:
        keeper.execute("SELECT pg_advisory_lock(4711)")
        running = BackgroundObservation(reader)
        wait_until(lambda: blocked_backends(pair.behind))
        pair.site.run("ALTER TABLE public.teams ADD COLUMN added int")
        pair.caught_up()  # only if the scan gives way
    after = running.result()
    assert (after.verdict, after.compared.get("gave_way")) == (Verdict.PASS, 1), after.reason


def restored(site: Site, day: Any, now: datetime | None = None) -> Any:
    clock = Clock.at(now) if now else Clock()
    context = Context(site.mapping, site.ledger, site.directory / "reports", clock, {"DATABASE_URL": site.dsn})
    return observe(context, day, restored=True).observation


def report(site: Site, directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``orgrecon report`` with a separate ledger."""
    clean = inherited_environ()
    return run_python(
        ORGRECON, "report", "--output-dir", "trail", *arguments, cwd=directory,
        env={**clean, "DATABASE_URL": site.dsn, "ORGRECON_LEDGER_URL": "sqlite:///cli.db"})


def test_restored_server_is_evidence_only_for_its_day(pair: Pair, tmp_path: Path) -> None:
    with pytest.raises(DayRefused, match="still replays WAL"):
        restored(pair.reader, datetime.now(timezone.utc).date())
    pair.behind.execute("SELECT pg_wal_replay_pause()")
    replayed_at = pair.ask("SELECT pg_last_xact_replay_timestamp()")
    day = replayed_at.astimezone(timezone.utc).date()
    tomorrow = datetime.now(timezone.utc) + timedelta(days=1)
    # A tenant that was added and observed after the restored time must not count as lost.
    pair.site.run("INSERT INTO public.tenants VALUES ('newcomer')",
                  "INSERT INTO public.teams VALUES ('newcomer', 1, 'x', NULL, NULL)",
                  "INSERT INTO public.org_units (tenant_id, legacy_id, kind, name) VALUES ('newcomer', 1, 'team', 'x')")
    assert pair.site.observe().verdict is Verdict.PASS

    found = restored(pair.reader, day, tomorrow)  # the day is past
    assert (found.verdict, found.provenance) == (Verdict.PASS, Provenance.RESTORED), found.reason
    assert found.observed_at == replayed_at
    assert found.compared["source"]["standby"]["replayed_at"][:10] == str(day)
    assert found.tenants_scanned == 4
    assert "newcomer" in set(pair.site.ledger.known_names(CoverageSubject.TENANT))
    days = pair.site.ledger.days()

    # The command line writes a report with the provenance and the restored time.
    done = report(pair.reader, tmp_path, "--restored", "--date", str(day))
    assert done.returncode == 0, done.stderr
    [path] = (tmp_path / "trail").iterdir()
    record = read_report(path)
    assert (record.day, record.provenance, record.observations[0].observed_at) == (
        day, Provenance.RESTORED, instant_text(replayed_at))
    assert instant_text(replayed_at) in path.read_text("utf-8").split("## How this was compared")[1]
    for site, more, words in (
        (pair.site, ("--date", str(day)), "needs a server in recovery"),
        (pair.reader, (), "--restored needs --date"),
        (pair.reader, ("--date", str(day), "--baseline"), "--restored needs --date"),
    ):
        done = report(site, tmp_path, "--restored", *more)
        assert (done.returncode, len(done.stderr.strip().splitlines())) == (2, 1), done.stderr
        assert words in done.stderr
    assert len(read_report(path).observations) == 1

    for asked, now, words in (
        (day - timedelta(days=1), None, "was restored to .*, which is not"),
        (day + timedelta(days=1), tomorrow + timedelta(days=1), "was restored to .*, which is not"),
        (day + timedelta(days=9), None, "in the future"),
    ):
        with pytest.raises(DayRefused, match=words):
            restored(pair.reader, asked, now)
    with pytest.raises(DayRefused, match="needs a server in recovery"):
        restored(pair.site, day)  # the primary
    with pytest.raises(DayRefused, match="nothing was written: cannot connect"):
        restored(replace(pair.reader, dsn="postgresql://x@/y?host=/nonexistent"), day)
    pair.behind.execute("SELECT pg_wal_replay_resume()")
    pair.restart()
    pair.behind.execute("SELECT pg_wal_replay_pause()")
    with pytest.raises(DayRefused, match="replayed no transaction"):
        restored(pair.reader, day)
    pair.behind.execute("SELECT pg_wal_replay_resume()")
    pair.site.run("CREATE TABLE public.committed_again ()")
    pair.caught_up()
    assert pair.ask("SELECT pg_promote()")
    assert pair.ask("SELECT pg_last_xact_replay_timestamp() IS NOT NULL"), "the time remains after the promotion"
    with pytest.raises(DayRefused, match="open for writing"):
        restored(pair.reader, day)
    assert pair.site.ledger.days() == days
    assert len(pair.site.ledger.observations(day)) == 2




