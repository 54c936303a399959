"""Coverage: what was never seen, mass departures, renamed tenants, and the first observation of a ledger."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from orgrecon_pipeline.demo.company import mark_simulated
from orgrecon_pipeline.domain.errors import UsageError
from orgrecon_pipeline.domain.evidence import Observation, Verdict
from orgrecon_pipeline.domain.mapping.model import GateSettings
from orgrecon_pipeline.domain.reasons import ReasonCode
from orgrecon_pipeline.operations.doctor import diagnose
from orgrecon_pipeline.operations.observe.acknowledge import acknowledge_coverage
from orgrecon_pipeline.operations.observe.observe import observe
from orgrecon_pipeline.operations.trail.importer import import_trail
from orgrecon_pipeline.operations.trail.publish import publish, record_of
from orgrecon_pipeline.report.render import render
from orgrecon_pipeline_tests.operations.observe.test_day import at, morning
from orgrecon_pipeline_tests.operations.observe.test_faults import edit_mapping
from orgrecon_pipeline_tests.support.default_identity import open_ledger
from orgrecon_pipeline_tests.support.operations.shards import MEMBERSHIPS, ShardedSite
from orgrecon_pipeline_tests.support.operations.site import Site

PASS, INCONCLUSIVE = Verdict.PASS, Verdict.INCONCLUSIVE
FIRST_DAY = date(2026, 3, 1)
NO_MEMBERSHIPS = "TRUNCATE public.team_members, public.org_unit_memberships"
NO_PARENTS = ("UPDATE public.teams SET parent_team_id = NULL", "UPDATE public.org_units SET parent_id = NULL")
TABLES = ("team_members", "org_unit_memberships", "org_units", "teams")


def observe_on(site: Site, day: int) -> Observation:
    """Observe a simulated day, by its number."""
    on = FIRST_DAY + timedelta(days=day)
    return observe(at(site, morning(on)), on).observation


def verdict(observation: Observation) -> tuple[Verdict, ReasonCode]:
    return observation.verdict, observation.reason_code


NEVER_SEEN = (INCONCLUSIVE, ReasonCode.NEVER_SEEN)
CLEAN = (PASS, ReasonCode.ZERO_DRIFT)


# Never seen.

@pytest.mark.parametrize(("emptied", "name"), [
    ((NO_MEMBERSHIPS,), f"entity {MEMBERSHIPS}"), (NO_PARENTS, "column org_units.parent_id"),
], ids=["entity", "column"])
def test_never_seen_entity_or_column_is_inconclusive_until_acknowledged(
    site: Site, emptied: tuple[str, ...], name: str
) -> None:
    mark_simulated(site.admin)
    site.run(*(f"CREATE TABLE public.keep_{table} AS SELECT * FROM public.{table}" for table in TABLES), *emptied)
    first = observe_on(site, 0)
    assert verdict(first) == NEVER_SEEN
    assert first.compared["coverage"]["never_seen"] == [name]
    assert "check the tables and the where of the mapping" in first.reason
    assert verdict(observe_on(site, 1)) == NEVER_SEEN, "it stays INCONCLUSIVE"
    context = at(site, morning(FIRST_DAY))
    # The command reads the latest real observation, or the latest simulated one of a demo.
    assert acknowledge_coverage(context, "nobody uses this yet") == [name]
    acknowledged = observe_on(site, 2)
    assert verdict(acknowledged) == CLEAN
    assert acknowledged.compared["coverage"]["acknowledged"] == [name]
    with pytest.raises(UsageError, match="nothing to acknowledge"):
        acknowledge_coverage(context, "nobody uses this yet")
    for day in (3, 4):  # the acknowledgement is remembered
        assert verdict(observe_on(site, day)) == CLEAN

    site.run(f"TRUNCATE {', '.join(f'public.{table}' for table in TABLES)}")
    site.run(*(f"INSERT INTO public.{table} SELECT * FROM public.keep_{table}" for table in reversed(TABLES)))
    assert verdict(observe_on(site, 5)) == CLEAN, "it is used now"
    site.run(*emptied)
    assert verdict(observe_on(site, 6)) == (INCONCLUSIVE, ReasonCode.COVERAGE_LOST), "an appearance arms it again"


def test_typo_in_where_of_both_sides_is_inconclusive_from_the_first_day(site: Site) -> None:
    text = site.mapping.model_dump_json(by_alias=True)
    where = '"role":"role"},"where":null', '"role":"role"},"where":"role = \'ownr\'"'
    edit_mapping(*where)(site)
    edit_mapping(where[0].replace('"role"}', '"m.role"}'), where[1].replace('"role"}', '"m.role"}'))(site)
    assert site.mapping.model_dump_json(by_alias=True) != text
    first = site.observe()
    assert verdict(first) == NEVER_SEEN
    assert f"entity '{MEMBERSHIPS}'" in first.reason


def test_never_seen_entity_beside_drift_is_named_in_the_reason(site: Site) -> None:
    site.run(NO_MEMBERSHIPS, "DELETE FROM public.org_units WHERE ctid = (SELECT min(ctid) FROM public.org_units "
                             "WHERE deleted_at IS NULL)")
    found = site.observe()
    assert found.verdict is Verdict.FAIL
    assert found.reason_parameters["also"]["reason_code"] == "never_seen"
    assert acknowledge_coverage(site.context, "nobody uses this yet") == [f"entity {MEMBERSHIPS}"]
    assert "also" not in site.observe().reason_parameters


def test_acknowledged_entity_survives_a_rebuilt_ledger(site: Site, tmp_path: Path) -> None:
    site.run(NO_MEMBERSHIPS)
    site.observe()
    acknowledge_coverage(site.context, "nobody uses this yet")
    day = site.observe().day
    publish(site.context, day)
    rebuilt = replace(site, ledger=open_ledger(f"sqlite:///{tmp_path / 'rebuilt.db'}"))
    assert import_trail(rebuilt.ledger, site.context.output_dir).refused == ()
    assert verdict(rebuilt.observe()) == CLEAN
    assert render(record_of(rebuilt.ledger, day)) != "", "the day renders"


@pytest.mark.parametrize("universe", [True, False], ids=["declared", "undeclared"])
def test_shard_without_rows_from_the_first_day_is_inconclusive(shards: ShardedSite, universe: bool) -> None:
    """It may point at an empty copy."""
    if not universe:
        shards.mapping = shards.mapping.model_copy(update={"tenants": None})
    for table in (*TABLES, "tenants"):
        shards.admins["eu1"].execute(f"TRUNCATE public.{table} CASCADE")
    first = shards.observe()
    assert verdict(first) == NEVER_SEEN
    empty = [f"entity eu1.{MEMBERSHIPS}", "entity eu1.org_units"]
    assert first.compared["coverage"]["never_seen"] == empty
    assert acknowledge_coverage(shards.context, "the region opens next month") == empty
    assert [verdict(shards.observe()) for _ in range(2)] == [CLEAN, CLEAN]


def test_entity_without_rows_in_any_shard_is_reported_once(shards: ShardedSite) -> None:
    for admin in shards.admins.values():
        admin.execute(NO_MEMBERSHIPS)
    assert shards.observe().compared["coverage"]["never_seen"] == [f"entity {MEMBERSHIPS}"]
    acknowledge_coverage(shards.context, "nobody uses this yet")
    assert [verdict(shards.observe()) for _ in range(2)] == [CLEAN, CLEAN]


def test_company_without_tenants_passes(site: Site) -> None:
    site.run(f"TRUNCATE {', '.join(f'public.{table}' for table in (*TABLES, 'tenants'))}")
    assert verdict(site.observe()) == CLEAN


# Departures.

def leave(site: Site, tenants: int) -> None:
    """Remove tenants from both sides and from the universe."""
    for _ in range(tenants):
        for table in TABLES:
            site.run(f"DELETE FROM public.{table} WHERE tenant_id = (SELECT min(id) FROM public.tenants)")
        site.run("DELETE FROM public.tenants WHERE id = (SELECT min(id) FROM public.tenants)")


def test_mass_departure_is_inconclusive_until_acknowledged(site: Site) -> None:
    site.observe()
    leave(site, 3)
    for _ in range(2):
        gone = site.observe()
        assert verdict(gone) == (INCONCLUSIVE, ReasonCode.TOO_MANY_DEPARTURES)
        assert "3 of 11 known tenants left" in gone.reason
    assert len(acknowledge_coverage(site.context, "three customers have left")) == 3
    after = site.observe()
    assert (after.verdict, len(after.compared["coverage"]["acknowledged"])) == (PASS, 3)
    again = site.observe()
    assert (again.verdict, again.compared["coverage"]["left_count"]) == (PASS, 0)


@pytest.mark.parametrize(("max_departures", "leaving", "expected"), [
    (0.2, 1, PASS), (0.2, 2, PASS), (0.2, 3, INCONCLUSIVE), (0.28, 3, PASS), (0.27, 3, INCONCLUSIVE), (0.0, 1, PASS),
    (0.0, 2, INCONCLUSIVE), (1.0, 9, PASS),
])
def test_departures_within_the_limit_pass(
    site: Site, max_departures: float, leaving: int, expected: Verdict
) -> None:
    """Eleven tenants have rows."""
    site.mapping = site.mapping.model_copy(update={"gate": GateSettings(max_departures=max_departures)})
    site.observe()
    leave(site, leaving)
    after = site.observe()
    assert (after.verdict, after.compared["coverage"]["left_count"]) == (expected, leaving), after.reason


def test_departures_of_one_day_are_added_up_over_its_reruns(site: Site) -> None:
    mark_simulated(site.admin)
    observe_on(site, 0)
    codes = []
    for day in (0, 0, 1, 1):
        leave(site, 1)
        latest = observe_on(site, day)
        codes.append(latest.reason_code)
    # Two of eleven are less than a fifth, and two of nine are more.
    assert codes == [ReasonCode.ZERO_DRIFT] * 3 + [ReasonCode.TOO_MANY_DEPARTURES]
    assert latest.reason.startswith("too many departures: 2 of 9 known tenants left")


def test_departures_of_earlier_days_do_not_count_after_an_import(site: Site, tmp_path: Path) -> None:
    """Every tenant is listed in the breakdown of the first day, and two of five leave on later days."""
    mark_simulated(site.admin)
    leave(site, 7)
    observe_on(site, 0)
    for day in (1, 2):
        leave(site, 1)
        assert observe_on(site, day).verdict is PASS
    for day in range(3):
        publish(site.context, FIRST_DAY + timedelta(days=day))
    rebuilt = replace(site, ledger=open_ledger(f"sqlite:///{tmp_path / 'rebuilt.db'}"))
    assert import_trail(rebuilt.ledger, site.context.output_dir).refused == ()
    assert observe_on(rebuilt, 3).verdict is PASS


def test_renamed_tenant_is_shown(site: Site) -> None:
    site.observe()
    [(tenant,)] = site.admin.execute("SELECT min(id) FROM public.tenants")
    for table, column in (*((table, "tenant_id") for table in TABLES), ("tenants", "id")):
        site.run(f"UPDATE public.{table} SET {column} = upper({column}) || ' ' WHERE {column} = '{tenant}'")
    after = site.observe()
    assert after.compared["coverage"]["renamed"] == [[tenant, f"{tenant.upper()} "]]
    markdown = render(publish(site.context, after.day).record)
    assert "\n## Warnings\n" in markdown
    assert f"- Tenant `{tenant}` is gone and `{tenant.upper()} ` is new" in markdown


# The first observation.

def test_first_observation_of_a_ledger_is_shown_all_day(site: Site, tmp_path: Path) -> None:
    for _ in range(2):
        first = site.observe()
        assert first.compared["first_observation"] is True
    note = "First observation in this ledger: no earlier observation says which tenants existed."
    assert f"\n{note}\n" in render(publish(site.context, first.day).record)
    known = replace(site, ledger=open_ledger(f"sqlite:///{tmp_path / 'known.db'}"))
    yesterday = first.model_copy(update={
        "id": "yesterday", "day": first.day - timedelta(days=1),
        "observed_at": first.observed_at and first.observed_at - timedelta(days=1)})
    known.ledger.append(yesterday, (), (), ())
    assert "first_observation" not in known.observe().compared


@pytest.mark.parametrize(("environ", "warned"), [
    ({}, False), ({"ORGRECON_LEDGER_URL": "sqlite:///ledger.db"}, False),
    ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, True),
    ({"KUBERNETES_SERVICE_HOST": "10.0.0.1", "ORGRECON_LEDGER_URL": "sqlite:////data/ledger.db"}, True),
    ({"KUBERNETES_SERVICE_HOST": "10.0.0.1", "ORGRECON_LEDGER_URL": "postgresql://ledger@db/ledger"}, False),
])
def test_doctor_warns_about_a_ledger_that_may_be_lost_with_its_pod(
    site: Site, environ: dict[str, str], warned: bool
) -> None:
    context = replace(site.context, environ={**site.context.environ, **environ})
    diagnosis = diagnose(context)
    assert diagnosis.ready
    assert any(finding.topic == "ledger" and finding.level == "warning" for finding in diagnosis.findings) is warned


# The mapping.

def test_mapping_change_is_named_in_the_reports_after_it(site: Site, tmp_path: Path) -> None:
    mark_simulated(site.admin)
    observe_on(site, 0)
    full = site.mapping
    edit_mapping('"compare":["name","kind","parent_id"]', '"compare":["name"]')(site)
    edit_mapping('"role":"role"},"where":null', '"role":"role"},"where":"true"')(site)
    for day in (1, 2):
        observe_on(site, day)
    site.mapping = full
    observe_on(site, 3)
    days = [FIRST_DAY + timedelta(days=day) for day in range(4)]
    records = [publish(site.context, day).record for day in days]
    assert [record.mapping_change and record.mapping_change.since for record in records] == [
        None, days[0], days[0], days[2]]
    changes = records[1].mapping_change
    assert changes is not None
    assert [(c.code.value, c.entity, c.side, c.name, c.narrows) for c in changes.changes] == [
        ("where_added", MEMBERSHIPS, "source", None, True),
        ("column_removed", "org_units", None, "kind", True), ("column_removed", "org_units", None, "parent_id", True)]
    assert f"\n## Mapping change since {days[0]}\n" in render(records[1])
    rebuilt = open_ledger(f"sqlite:///{tmp_path / 'rebuilt.db'}")
    assert import_trail(rebuilt, site.context.output_dir).refused == ()
    assert [render(record_of(rebuilt, day)) for day in days] == [render(record) for record in records]


def test_sql_that_may_hold_a_password_is_not_stored(site: Site) -> None:
    edit_mapping('"name":"u.name"', '"name":"coalesce(u.name, \'host=db password=secret\')"')(site)
    found = site.observe()
    assert found.verdict is PASS
    assert "secret" not in found.model_dump_json()
    assert "sha256:" in str(found.compared["mapping"])
