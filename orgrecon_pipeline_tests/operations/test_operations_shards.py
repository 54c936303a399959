"""Tenants in several databases: observed at the same time, answered for by name, and never taken one for another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import psycopg
import pytest
from moments import left_over, until
from operations_places import MEMBERSHIPS, NAMES, Connect, Shards, lose, reused, sharded, shards_of
from operations_site import READER

from orgrecon_pipeline.demo.company import mark_simulated
from orgrecon_pipeline.demo.server import EmbeddedServer
from orgrecon_pipeline.domain.errors import ConfigurationError, DayRefused
from orgrecon_pipeline.domain.evidence import Observation, Verdict
from orgrecon_pipeline.ledger.opening import open_ledger
from orgrecon_pipeline.operations.acknowledge import accept_source, acknowledge_coverage
from orgrecon_pipeline.operations.admission import LiveAdmission
from orgrecon_pipeline.operations.clock import Clock
from orgrecon_pipeline.operations.doctor import examine_source
from orgrecon_pipeline.operations.observe import observe
from orgrecon_pipeline.operations.publish import publish
from orgrecon_pipeline.report.trail import verify_trail

NO_SELECT, SELECT = (f"{verb} SELECT ON public.teams {way} {READER}" for verb, way in (
    ("REVOKE", "FROM"), ("GRANT", "TO")))


def failing(shards: Shards, name: str, **how: Any) -> Observation:
    """An attempt of which one shard fails, and is put right afterwards."""
    shards.admins[name].execute(NO_SELECT)
    after = shards.observe(**how)
    shards.admins[name].execute(SELECT)
    assert after.verdict is Verdict.INCONCLUSIVE
    return after


# All of them.

@pytest.mark.parametrize("exact", [False, True])
def test_shards_agree(shards: Shards, exact: bool) -> None:
    after = shards.observe(exact=exact)
    assert (after.verdict, after.tenants_scanned) == (Verdict.PASS, 12), after.reason
    assert {name: facts["source"]["database"] for name, facts in after.compared["shards"].items()} == {
        name: admin.info.dbname for name, admin in shards.admins.items()}
    assert {facts["tenants"] for facts in after.compared["shards"].values()} == {4}
    rows = sum(count for admin in shards.admins.values() for (count,) in admin.execute(
        "SELECT count(*) FROM public.team_members"))
    assert after.entities[MEMBERSHIPS].source_rows == rows
    assert not any(left_over(admin) for admin in shards.admins.values())


def test_drift_in_some_shards(shards: Shards) -> None:
    lose(shards, "eu1")
    lose(shards, "us1", "team_members")
    after = shards.observe()
    counted = after.entities[MEMBERSHIPS]
    assert (after.verdict, counted.missing, counted.unexpected) == (Verdict.FAIL, 1, 1), after.reason
    assert (after.tenants_scanned, after.tenants_with_drift) == (12, 2)
    assert sorted((s.tenant[:3], s.kind) for s in shards.ledger.samples(after.id)) == [
        ("eu1", "missing"), ("us1", "unexpected")]
    rows = shards.ledger.breakdown(after.id, 100)
    assert [row.tenant[:3] for row in rows if row.drift] == ["eu1", "us1"]
    assert {row.tenant for row in rows} == {tenant for name in NAMES for tenant in shards.tenants(name)}


def test_every_shard_may_declare_every_tenant(shards: Shards) -> None:
    """As a reference table does: each tenant is scanned once, listed once, and with the rows that it has."""
    every = sorted(tenant for name in NAMES for tenant in shards.tenants(name))
    for admin in shards.admins.values():
        for tenant in [*every, "declared by all, at home nowhere"]:
            admin.execute("INSERT INTO public.tenants VALUES (%s) ON CONFLICT DO NOTHING", (tenant,))
    after = shards.observe()
    assert (after.verdict, after.tenants_scanned) == (Verdict.PASS, 13), after.reason
    listed = [(row.tenant, row.source_rows > 0) for row in shards.ledger.breakdown(after.id, 100)
              if row.entity == "org_units"]
    assert sorted(listed) == sorted([("declared by all, at home nowhere", False), *((name, True) for name in every)])


def test_a_tenant_in_two_shards(shards: Shards) -> None:
    [tenant, *_] = shards.tenants("eu1")
    shards.admins["us1"].execute(f"UPDATE public.teams SET tenant_id = '{tenant}' WHERE ctid = "
                                  "(SELECT min(ctid) FROM public.teams)")
    with pytest.raises(ConfigurationError, match=f"tenant '{tenant}' has rows in shard eu1 and in shard us1"):
        shards.observe()
    assert shards.ledger.days() == []


def test_a_shard_may_have_two_databases(shards: Shards) -> None:
    """One side of a shard is elsewhere, and drifts: found there, and said so."""
    [one, two, three] = shards.mapping.shards
    shards.mapping = shards.mapping.model_copy(update={"shards": (one, two.model_copy(
        update={"target_env": "EU1_V23_URL"}), three)})
    shards.dsns["eu1_v23"] = f"{shards.dsns['eu1']}&application_name=another"
    lose(shards, "eu1")
    after = shards.observe()
    assert (after.verdict, after.entities[MEMBERSHIPS].missing) == (Verdict.FAIL, 1), after.reason


# One of them fails.

@pytest.mark.parametrize("kept_in", ["sqlite", "postgres"])
def test_only_what_is_missing_is_compared_again(
    shards: Shards, kept_in: str, empty_database: str, server: EmbeddedServer, connect: Connect
) -> None:
    """Nobody can read the decided shard meanwhile; once the day is decided, all are compared again."""
    if kept_in == "postgres":
        shards.ledger = open_ledger(empty_database)
    lose(shards, "eu1")
    first = failing(shards, "us1")
    assert first.reason.startswith("shard us1: ")
    assert "permission is refused" in first.reason
    assert set(first.compared["shards"]) <= set(NAMES)
    home = shards.admins["eu1"].info.dbname
    with gone(shards, "eu1", server):
        again = shards.observe()
        assert (again.verdict, again.tenants_scanned) == (Verdict.FAIL, 12), again.reason
        assert reused(again) == {"ap1", "eu1"}
        assert again.compared["shards"]["eu1"]["source"]["database"] == home
        assert again.compared["shards"]["eu1"]["reused_from"] == first.id
        assert [sample.tenant[:3] for sample in shards.ledger.samples(again.id)] == ["eu1"]
        refused = shards.observe()
        assert refused.verdict is Verdict.INCONCLUSIVE
        assert refused.reason.startswith("shard eu1: cannot connect to the database of EU1_URL")
    assert reused(shards.observe()) == {"ap1", "us1"}
    assert reused(shards.observe()) == set()


@contextmanager
def gone(shards: Shards, name: str, server: EmbeddedServer) -> Iterator[None]:
    """A shard's database has another name for a while."""
    database = shards.admins[name].info.dbname
    shards.admins[name].close()
    with psycopg.connect(server.dsn(), autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {database} RENAME TO gone")
        try:
            yield
        finally:
            admin.execute(f"ALTER DATABASE gone RENAME TO {database}")


def test_several_fail_in_turn(shards: Shards) -> None:
    """Each attempt adds what it found to what is known."""
    shards.admins["eu1"].execute(NO_SELECT)
    first = failing(shards, "us1")
    assert first.reason.index("shard eu1: ") < first.reason.index("; shard us1: ")
    second = shards.observe()
    assert second.verdict is Verdict.INCONCLUSIVE
    assert "us1" not in second.reason
    shards.admins["eu1"].execute(SELECT)
    last = shards.observe()
    assert last.verdict is Verdict.PASS
    assert {name: last.compared["shards"][name].get("reused_from") for name in NAMES} == {
        "ap1": first.id, "eu1": None, "us1": second.id}


def test_what_was_found_under_other_rules_is_compared_again(shards: Shards) -> None:
    failing(shards, "us1")
    failing(shards, "us1", exact=True)
    for change in ({"rechecks": 2}, {"settle_seconds": 0.01}):
        other = replace(shards, mapping=sharded(NAMES, **change))
        assert reused(failing(other, "us1")) == set()
    shown = shards.mapping.report.model_copy(update={"sample_values": True})
    other = replace(shards, mapping=shards.mapping.model_copy(update={"report": shown}))
    assert reused(failing(other, "us1")) == set()
    without = shards.mapping.model_copy(update={"tenants": None})
    assert without.digest != shards.mapping.digest
    other = replace(shards, mapping=without)
    after = other.observe()
    assert (after.verdict, reused(after)) == (Verdict.PASS, set())


def test_other_limits_are_no_other_rules(shards: Shards) -> None:
    """Whoever gives the slow shard more time does not pay for the others again."""
    failing(shards, "us1")
    shards.mapping = sharded(NAMES, deadline_seconds=600, lock_timeout_seconds=2, workers=1)
    assert reused(shards.observe()) == {"ap1", "eu1"}


def test_exact_and_not_exact_are_kept_apart(shards: Shards) -> None:
    failing(shards, "us1")
    assert reused(shards.observe(exact=True)) == set()


def test_a_tenant_that_moved_between_two_attempts(shards: Shards) -> None:
    """It was found in eu1, and now it is in us1: both are asked again, and no shard is blamed."""
    failing(shards, "us1")
    [tenant, *_] = shards.tenants("eu1")
    for table in ("teams", "team_members", "org_units", MEMBERSHIPS):
        rows = shards.admins["eu1"].execute(f"SELECT * FROM public.{table} WHERE tenant_id = %s", (tenant,)).fetchall()
        places = ", ".join(["%s"] * len(rows[0]))
        with shards.admins["us1"].cursor() as cursor:
            cursor.executemany(f"INSERT INTO public.{table} VALUES ({places})", rows)
        shards.admins["eu1"].execute(f"DELETE FROM public.{table} WHERE tenant_id = %s", (tenant,))
    after = shards.observe()
    assert (after.verdict, after.tenants_scanned, reused(after)) == (Verdict.PASS, 12, {"ap1"}), after.reason


def test_a_complete_attempt_that_decides_nothing_is_not_kept(shards: Shards) -> None:
    """What a shard lost was put back: the rerun has to look there again."""
    shards.observe()
    [tenant, *_] = shards.tenants("eu1")
    kept = {table: shards.admins["eu1"].execute(
        f"DELETE FROM public.{table} WHERE tenant_id = %s RETURNING *", (tenant,)).fetchall()
        for table in ("teams", "team_members", "org_units", MEMBERSHIPS)}
    failing(shards, "us1")
    lost = shards.observe()
    assert (lost.verdict, reused(lost)) == (Verdict.INCONCLUSIVE, {"ap1", "eu1"})
    assert tenant in lost.reason
    for table, rows in kept.items():
        with shards.admins["eu1"].cursor() as cursor:
            cursor.executemany(f"INSERT INTO public.{table} VALUES ({', '.join(['%s'] * len(rows[0]))})", rows)
    after = shards.observe()
    assert (after.verdict, reused(after)) == (Verdict.PASS, set()), after.reason


def test_a_complete_attempt_by_a_clock_that_is_behind_is_not_kept(
    shards: Shards, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shard that failed at first is minutes behind the others: by its clock the rerun came before that attempt."""
    failing(shards, "us1")
    real = LiveAdmission.observed_at.fget  # type: ignore[attr-defined]
    with monkeypatch.context() as patched:
        patched.setattr(LiveAdmission, "observed_at", property(lambda self: real(self) - timedelta(minutes=10)))
        assert reused(shards.observe()) == {"ap1", "eu1"}
    lose(shards, "ap1")
    after = shards.observe()
    assert (after.verdict, reused(after)) == (Verdict.FAIL, set()), after.reason


def test_an_acknowledged_loss_in_a_shard(shards: Shards) -> None:
    shards.observe()
    [tenant, *_] = shards.tenants("eu1")
    for table in ("teams", "team_members", "org_units", MEMBERSHIPS):
        shards.admins["eu1"].execute(f"DELETE FROM public.{table} WHERE tenant_id = %s", (tenant,))
    assert shards.observe().verdict is Verdict.INCONCLUSIVE
    assert acknowledge_coverage(shards.context, "the customer has left") == [f"tenant {tenant}"]
    assert shards.observe().verdict is Verdict.PASS


@pytest.mark.parametrize("emptied", [
    "TRUNCATE public.tenants, public.teams, public.team_members, public.org_units, public.org_unit_memberships",
    "UPDATE public.tenants SET id = 'id:' || id; DELETE FROM public.teams WHERE tenant_id = '{tenant}'; DELETE FROM "
    "public.team_members WHERE tenant_id = '{tenant}'; DELETE FROM public.org_units WHERE tenant_id = '{tenant}'; "
    "DELETE FROM public.org_unit_memberships WHERE tenant_id = '{tenant}'",
], ids=["everything", "a_tenant_beside_a_universe_of_another_kind"])
def test_nobody_leaves_by_the_universe_of_a_shard_that_knows_nobody(shards: Shards, emptied: str) -> None:
    """Whatever the others declare."""
    shards.observe()
    [tenant, *_] = shards.tenants("eu1")
    shards.admins["eu1"].execute(emptied.format(tenant=tenant))
    for _ in range(2):
        after = shards.observe()
        assert after.verdict is Verdict.INCONCLUSIVE, after.reason
        assert f"tenant {tenant}" in after.compared["coverage"]["lost"]
        assert after.compared["coverage"]["left"] == []


def test_a_tenant_that_left_the_universe_of_its_shard_is_no_alarm(shards: Shards) -> None:
    shards.observe()
    [tenant, *_] = shards.tenants("eu1")
    shards.admins["eu1"].execute(f"DELETE FROM public.tenants WHERE id = '{tenant}'")
    for table in ("teams", "team_members", "org_units", MEMBERSHIPS):
        shards.admins["eu1"].execute(f"DELETE FROM public.{table} WHERE tenant_id = '{tenant}'")
    after = shards.observe()
    assert (after.verdict, after.compared["coverage"]["left"]) == (Verdict.PASS, [tenant]), after.reason


def test_an_entity_that_one_shard_lost(shards: Shards) -> None:
    """The others still have rows of it, and its tenants have others."""
    shards.observe()
    shards.admins["eu1"].execute("TRUNCATE public.team_members, public.org_unit_memberships")
    for _ in range(2):
        after = shards.observe()
        assert after.verdict is Verdict.INCONCLUSIVE
        assert after.compared["coverage"]["lost"] == [f"entity eu1.{MEMBERSHIPS}"]
    assert acknowledge_coverage(shards.context, "nobody works there any more") == [f"entity eu1.{MEMBERSHIPS}"]
    assert shards.observe().verdict is Verdict.PASS
    assert shards.observe().verdict is Verdict.PASS


def test_a_bug_in_one_shard_is_not_the_others(shards: Shards, monkeypatch: pytest.MonkeyPatch) -> None:
    from orgrecon_pipeline.operations import shards as module

    def fail(mapping: Any, places: Any, **how: Any) -> Any:
        if places.source.variable == "EU1_URL":
            raise ValueError("secret")
        return real(mapping, places, **how)

    real = module.compare  # type: ignore[attr-defined]
    with monkeypatch.context() as patched:
        patched.setattr(module, "compare", fail)
        after = shards.observe()
    assert after.verdict is Verdict.INCONCLUSIVE
    assert after.reason.startswith("shard eu1: internal error (ValueError in ")
    assert "secret" not in after.model_dump_json()
    assert reused(shards.observe()) == {"ap1", "us1"}


def test_a_shard_that_was_moved(shards: Shards, new_database: Callable[..., str], template: str, connect: Connect,
                                tmp_path: Path) -> None:
    """Refused by its label until it is accepted, and what the others held is not asked for again."""
    shards.observe()
    other = shards_of(("eu1",), new_database, template, connect, tmp_path)
    home, shards.dsns["eu1"] = shards.dsns["eu1"], other.dsns["eu1"]
    refused = shards.observe()
    assert refused.verdict is Verdict.INCONCLUSIVE
    assert refused.reason.startswith("shard eu1: eu1.source: this is database ")
    assert set(accept_source(shards.context, "moved to the new cluster")) == {"eu1.source", "eu1.target"}
    after = shards.observe()
    assert (after.verdict, reused(after)) == (Verdict.PASS, {"ap1", "us1"}), after.reason
    shards.dsns["eu1"] = home
    assert shards.observe().verdict is Verdict.INCONCLUSIVE


def test_a_shard_that_was_added_after_a_move(
    shards: Shards, new_database: Callable[..., str], template: str, connect: Connect, tmp_path: Path
) -> None:
    """What was accepted for one shard does not leave those without a pin that came later."""
    shards.mapping = sharded(NAMES[:2])
    shards.observe()
    shards.dsns["eu1"] = shards_of(("eu1",), new_database, template, connect, tmp_path).dsns["eu1"]
    assert shards.observe().verdict is Verdict.INCONCLUSIVE
    accept_source(shards.context, "moved to the new cluster")
    shards.mapping = sharded(NAMES)
    assert shards.observe().verdict is Verdict.PASS
    shards.dsns["us1"] = shards_of(("us1",), new_database, template, connect, tmp_path).dsns["us1"]
    refused = shards.observe()
    assert refused.verdict is Verdict.INCONCLUSIVE
    assert refused.reason.startswith("shard us1: us1.source: this is database "), refused.reason


def test_what_was_kept_of_another_database_than_the_accepted_one(
    shards: Shards, new_database: Callable[..., str], template: str, connect: Connect, tmp_path: Path
) -> None:
    shards.observe()
    failing(shards, "us1")
    other = shards_of(("eu1",), new_database, template, connect, tmp_path)
    shards.dsns["eu1"] = other.dsns["eu1"]
    failing(shards, "us1", exact=True)  # of which nothing is reused: it meets the new one
    accept_source(shards.context, "moved to the new cluster")
    after = shards.observe()
    assert reused(after) == {"ap1"}
    assert after.verdict is Verdict.PASS, after.reason


def test_what_was_kept_of_a_database_that_was_named_by_mistake(
    shards: Shards, new_database: Callable[..., str], template: str, connect: Connect, tmp_path: Path
) -> None:
    """No day has pinned it yet: when the variable is put right, the right one is compared."""
    other = shards_of(("eu1",), new_database, template, connect, tmp_path)
    home, shards.dsns["eu1"] = shards.dsns["eu1"], other.dsns["eu1"]
    failing(shards, "us1")
    shards.dsns["eu1"] = home
    lose(shards, "eu1")
    after = shards.observe()
    assert reused(after) == {"ap1"}
    assert (after.verdict, after.entities[MEMBERSHIPS].missing) == (Verdict.FAIL, 1), after.reason


def test_a_shard_whose_clock_shows_another_day(shards: Shards) -> None:
    """Nothing is written, and nobody waits for the others."""
    for name in ("ap1", "us1"):
        mark_simulated(shards.admins[name])
    context = replace(shards.context, clock=Clock.at(datetime(2026, 3, 1, 8, tzinfo=timezone.utc)))
    with pytest.raises(DayRefused, match=r"the database's clock \(eu1\) shows"):
        observe(context, date(2026, 3, 1))
    assert shards.ledger.days() == []
    until(lambda: not any(left_over(admin) for admin in shards.admins.values()))


# Around the comparison.

def test_doctor_looks_at_every_shard(shards: Shards) -> None:
    assert examine_source(shards.context).ready
    shards.admins["us1"].execute(NO_SELECT)
    problems = [f.topic for f in examine_source(shards.context).findings if f.level == "problem"]
    assert problems == ["shard us1: comparison"]


def test_restored_is_of_one_database(shards: Shards) -> None:
    with pytest.raises(ConfigurationError, match="--restored compares one database"):
        observe(shards.context, shards.context.clock.today(), restored=True)


def test_the_report_names_every_shard(shards: Shards) -> None:
    failing(shards, "us1")
    after = shards.observe()
    published = publish(shards.context, after.day)
    lines = published.markdown.splitlines()
    for name, admin in shards.admins.items():
        [databases] = [line for line in lines if line.startswith(f"| `shards.{name}.source and target` |")]
        assert f"`database` `{admin.info.dbname}`" in databases
    assert sum("`reused_from`" in line and line.startswith("| `shards.") for line in lines) == 2
    assert verify_trail(shards.context.output_dir).sound

