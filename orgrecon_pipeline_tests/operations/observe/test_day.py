"""The day of an observation: clocks, reruns, baselines, and what a trail may contain."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from orgrecon_pipeline.demo.company import mark_simulated
from orgrecon_pipeline.domain.canonical import canonical_json
from orgrecon_pipeline.domain.errors import DayRefused, EvidenceNotStored, UnsoundTrail
from orgrecon_pipeline.domain.evidence import Observation, Provenance, Verdict
from orgrecon_pipeline.domain.gate.state import GateState
from orgrecon_pipeline.domain.mapping.model import GatePolicy, GateSettings
from orgrecon_pipeline.domain.record import Record
from orgrecon_pipeline.operations.clock import Clock
from orgrecon_pipeline.operations.context import Context
from orgrecon_pipeline.operations.gate.current import require_live_days
from orgrecon_pipeline.operations.observe.observe import observe, stamp_baseline
from orgrecon_pipeline.operations.trail.importer import import_record, import_trail
from orgrecon_pipeline.operations.trail.publish import publish, record_of
from orgrecon_pipeline.report.render import render
from orgrecon_pipeline_tests.support.default_identity import current_gate, open_ledger
from orgrecon_pipeline_tests.support.operations.site import Site, fast_mapping

UTC = timezone.utc
A_LOSS = "DELETE FROM public.team_members WHERE ctid = (SELECT min(ctid) FROM public.team_members)"
REMOVE_UNEXPECTED = "DELETE FROM public.org_unit_memberships m WHERE NOT EXISTS (SELECT FROM public.team_members t " \
    "JOIN public.org_units u ON (u.tenant_id, u.legacy_id) = (t.tenant_id, t.team_id) WHERE u.id = m.org_unit_id AND " \
    "t.user_id = m.user_id AND t.tenant_id = m.tenant_id)"


def at(site: Site, moment: datetime | Clock) -> Context:
    """Return the context of the site with an injected clock."""
    clock = moment if isinstance(moment, Clock) else Clock.at(moment)
    return replace(site.context, clock=clock)


def morning(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 8, tzinfo=UTC)


def observe_on(site: Site, day: date) -> Observation:
    return observe(at(site, morning(day)), day).observation


@pytest.fixture
def demo(site: Site) -> Site:
    """A site whose database is marked as simulated, so that the injected clock applies."""
    mark_simulated(site.admin)
    return site


# Clocks.

@pytest.mark.parametrize("apart", [timedelta(days=1), timedelta(days=-1), timedelta(days=400)])
def test_client_clock_on_another_day_than_the_database_is_refused(site: Site, apart: timedelta) -> None:
    wrong = datetime.now(UTC) + apart
    with pytest.raises(DayRefused, match="but the database's clock shows"):
        observe(at(site, wrong), wrong.date())
    assert site.ledger.days() == []


def test_client_clock_hours_off_on_the_same_day_uses_the_database_clock(site: Site) -> None:
    now = datetime.now(UTC)
    off = now.replace(hour=(now.hour + 11) % 24)
    found = observe(at(site, off), now.date()).observation
    assert found.provenance is Provenance.LIVE
    assert found.observed_at is not None
    assert abs(found.observed_at - now) < timedelta(minutes=5), "the time is from the database's clock"


@pytest.mark.parametrize("when", ["preflight", "fingerprints"])
def test_run_across_midnight_belongs_to_the_day_of_its_snapshot(demo: Site, when: str) -> None:
    """The observation belongs to the day of its snapshot, which was taken before midnight."""
    moments = [datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC)]

    def pass_midnight(line: str) -> None:
        if when in line:
            moments.append(datetime(2027, 1, 1, 0, 0, 1, tzinfo=UTC))

    context = at(demo, Clock(lambda: moments[-1], injected=True))
    found = observe(context, date(2026, 12, 31), progress=pass_midnight).observation
    assert len(moments) == 2
    assert (found.day, found.observed_at, found.verdict) == (date(2026, 12, 31), moments[0], Verdict.PASS)


def test_midnight_before_the_snapshot_is_refused(site: Site) -> None:
    """The client started yesterday, but the database's snapshot is of today."""
    yesterday = datetime.now(UTC) - timedelta(days=1)
    last = yesterday.replace(hour=23, minute=59, second=59)
    with pytest.raises(DayRefused, match="nothing was written"):
        observe(at(site, last), last.date())
    assert site.ledger.days() == []


def test_leap_day_and_year_end_count_as_consecutive_days(demo: Site) -> None:
    days = [date(2028, 2, 27) + timedelta(days=n) for n in range(4)] + [date(2028, 12, 31), date(2029, 1, 1)]
    assert date(2028, 2, 29) in days
    for day in days:
        assert observe_on(demo, day).day == day
    assert record_of(demo.ledger, date(2028, 3, 1)).streak_days == 4
    assert record_of(demo.ledger, date(2029, 1, 1)).streak_days == 2


def test_past_day_is_reused_and_never_observed_again(demo: Site) -> None:
    day = date(2026, 3, 1)
    first = observe_on(demo, day)
    demo.run(A_LOSS)
    again = observe(at(demo, morning(day + timedelta(days=3))), day)
    assert (again.fresh, again.observation) == (False, first)
    with pytest.raises(DayRefused, match="has no evidence"):
        observe(at(demo, morning(day + timedelta(days=3))), day + timedelta(days=1))
    with pytest.raises(DayRefused, match="in the future"):
        observe(at(demo, morning(day)), day + timedelta(days=1))
    assert demo.ledger.days() == [day]


# Reruns.

@pytest.mark.parametrize(("same_day", "verdict"), [("latest", Verdict.PASS), ("worst", Verdict.FAIL)])
def test_reruns_are_all_listed_and_same_day_decides(site: Site, same_day: Any, verdict: Verdict) -> None:
    site.mapping = fast_mapping().model_copy(update={"gate": GateSettings(same_day=same_day)})
    day = site.observe().day
    site.run(A_LOSS)
    assert site.observe().verdict is Verdict.FAIL
    site.run(REMOVE_UNEXPECTED)
    assert site.observe().verdict is Verdict.PASS
    site.run("ALTER TABLE public.teams ENABLE ROW LEVEL SECURITY")
    assert site.observe().verdict is Verdict.INCONCLUSIVE
    record = publish(site.context, day).record
    assert record.verdict is verdict
    assert [row.verdict.value for row in record.observations] == ["PASS", "FAIL", "PASS", "INCONCLUSIVE"]
    assert sum(row.decides for row in record.observations) == 1
    # A ledger rebuilt from the report renders the same bytes.
    rebuilt = open_ledger(f"sqlite:///{site.directory / 'rebuilt.db'}")
    assert import_trail(rebuilt, site.context.output_dir).refused == ()
    assert render(record_of(rebuilt, day)) == render(record)


def test_mapping_change_inside_the_window_restarts_the_streak(demo: Site) -> None:
    days = [date(2026, 5, n) for n in range(1, 10)]
    for day in days[:4]:
        observe_on(demo, day)
    original = demo.mapping
    text = demo.mapping.model_dump_json(by_alias=True).replace('"compare":["role"]', '"compare":[]')
    demo.mapping = type(original).model_validate_json(text)
    for day in days[4:]:
        observe_on(demo, day)
    record = record_of(demo.ledger, days[-1])
    assert (record.verdict, record.streak_days, record.gate.state) == (Verdict.PASS, 5, GateState.CLOSED)
    assert f"{days[3]} was compared under another mapping" in record.gate.reason
    # Other scan settings do not change the mapping's epoch.
    demo.mapping = demo.mapping.model_copy(update={"scan": demo.mapping.scan.model_copy(update={"rechecks": 0})})
    observe_on(demo, days[-1] + timedelta(days=1))
    assert record_of(demo.ledger, days[-1] + timedelta(days=1)).streak_days == 6


# Baselines.

def test_baselines_count_only_before_the_first_live_tenant(site: Site) -> None:
    today = datetime.now(UTC).date()
    for back in range(6, 0, -1):
        assert stamp_baseline(site.context, today - timedelta(days=back)).fresh
    live = site.observe()
    assert record_of(site.ledger, today).gate.state is GateState.OPEN, "six baselines before the first tenant, one live"
    over = stamp_baseline(site.context, today)
    assert (over.fresh, over.observation) == (False, live)
    assert "a baseline never replaces it" in over.note
    assert site.ledger.observations(today) == [live]
    tomorrow = today + timedelta(days=1)
    stamp_baseline(at(site, morning(tomorrow)), tomorrow)
    record = record_of(site.ledger, tomorrow)
    assert (record.gate.state, record.streak_days) == (GateState.CLOSED, 0)
    assert "is only a baseline, though a tenant was seen" in record.gate.reason
    with pytest.raises(DayRefused, match="in the future"):
        stamp_baseline(site.context, tomorrow)


def test_min_live_days_closes_the_gate(site: Site) -> None:
    today = datetime.now(UTC).date()
    for back in range(6, 0, -1):
        stamp_baseline(site.context, today - timedelta(days=back))
    site.observe()
    days = site.ledger.evidence(today)
    now = datetime.now(UTC)
    assert current_gate(days, GatePolicy(min_live_days=1), now).open
    assert not current_gate(days, GatePolicy(min_live_days=2), now).open
    assert not current_gate(days, require_live_days(GatePolicy(), 2), now).open


@pytest.mark.parametrize("lost", [False, True], ids=["PASS", "INCONCLUSIVE"])
def test_baseline_with_new_ledger_keeps_the_live_report(site: Site, lost: bool) -> None:
    day = site.observe().day
    if lost:  # a day with only an INCONCLUSIVE observation has a live report too
        site = replace(site, ledger=open_ledger(f"sqlite:///{site.directory / 'other.db'}"), dsn="postgresql:///x?host=/n")
        assert site.observe().verdict is Verdict.INCONCLUSIVE
    before = publish(site.context, day)
    fresh = replace(site.context, ledger=open_ledger(f"sqlite:///{site.directory / 'new.db'}"))
    import_trail(fresh.ledger, fresh.output_dir, only_unknown=True)
    assert not stamp_baseline(fresh, day).fresh
    assert publish(fresh, day).path.read_text("utf-8") == render(before.record)


def test_baseline_over_unreadable_report_is_refused(site: Site) -> None:
    day = site.observe().day
    path = publish(site.context, day).path
    path.write_text(path.read_text("utf-8")[:-40], "utf-8")
    broken = path.read_bytes()
    fresh = replace(site.context, ledger=open_ledger(f"sqlite:///{site.directory / 'new.db'}"))
    assert import_trail(fresh.ledger, fresh.output_dir, only_unknown=True).refused
    with pytest.raises(UnsoundTrail, match="a baseline does not replace it"):
        stamp_baseline(fresh, day)
    assert fresh.ledger.days() == []
    assert path.read_bytes() == broken


# Imported reports.

Forge = Callable[[dict[str, Any]], Any]
FORGERIES: dict[str, Forge] = {
    "an invalid time": lambda r: r["observations"][0].update(observed_at="yesterday"),
    "no time at all": lambda r: r["observations"][0].update(observed_at=None),
    "a half surrogate": lambda r: r.update(reason="\ud800"),
    "an infinite number of rows": lambda r: r["entities"]["org_units"].update(source_rows=10**30),
}


def test_simulated_evidence_beside_real_evidence_changes_nothing(site: Site, tmp_path: Path) -> None:
    """It does not count as seeing a tenant, and it is not imported into a ledger with other evidence."""
    demo, real = replace(site), replace(site, ledger=open_ledger(f"sqlite:///{tmp_path / 'real.db'}"))
    mark_simulated(site.admin)
    observe_on(demo, date(2026, 3, 1))
    published = publish(demo.context, date(2026, 3, 1))
    assert import_trail(real.ledger, published.path.parent).refused == ()  # an empty ledger accepts any evidence
    for back in range(7):
        stamp_baseline(at(real, morning(date(2026, 3, 8))), date(2026, 3, 8 - back))
    gate = current_gate(real.ledger.evidence(date.max), GatePolicy(), morning(date(2026, 3, 8)))
    assert gate.decision.state is GateState.OPEN, gate.decision.reason.sentence
    site.run(f"ALTER DATABASE {site.admin.info.dbname} RESET ALL",
             "TRUNCATE public.tenants, public.teams, public.team_members, public.org_units, "
             "public.org_unit_memberships")
    empty = real.observe()
    assert (empty.verdict, empty.provenance) == (Verdict.PASS, Provenance.LIVE), empty.reason
    republished = publish(replace(demo.context, output_dir=tmp_path / "again"), date(2026, 3, 1))
    other = open_ledger(f"sqlite:///{tmp_path / 'other.db'}")
    stamp_baseline(replace(real.context, ledger=other), date(2026, 3, 2))
    assert import_trail(other, republished.path.parent).refused == (
        "2026-03-01.md is simulated, but this ledger is not: import it into a separate ledger.",)
    assert other.days() == [date(2026, 3, 2)]


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=[name.replace(" ", "_") for name in FORGERIES])
def test_import_of_forged_record_is_refused_or_harmless(site: Site, tmp_path: Path, forge: Forge) -> None:
    """A valid digest proves nothing: importing a forged record must not break later operations."""
    day = site.observe().day
    value = record_of(site.ledger, day).as_json_value()
    forge(value)
    ledger = open_ledger(f"sqlite:///{tmp_path / 'forged.db'}")
    record = Record.model_validate({**value, "observations": [
        {**row, **{k: value[k] for k in ("reason", "entities")}} for row in value["observations"]]})
    record = record.model_copy(update={"digest": ""})
    record = record.model_copy(update={"digest": record.expected_digest()})
    with suppress(UnsoundTrail, EvidenceNotStored):
        import_record(ledger, record)
    assert len(ledger.days()) == ledger.verdict_counts().get(Verdict.PASS, 0), "all or nothing is imported"
    forged = replace(site, ledger=ledger)
    assert forged.observe().verdict in (Verdict.PASS, Verdict.INCONCLUSIVE)
    record_of(ledger, day)


def test_import_with_a_forged_report_imports_the_other_reports(site: Site, tmp_path: Path) -> None:
    day = site.observe().day
    good = publish(site.context, day)
    stamp_baseline(site.context, day - timedelta(days=1))
    publish(site.context, day - timedelta(days=1))
    value = good.record.as_json_value()
    value["compared"]["values"] = "many"
    good.path.write_text(render(good.record, canonical_json(value)), "utf-8")
    ledger = open_ledger(f"sqlite:///{tmp_path / 'imported.db'}")
    imported = import_trail(ledger, good.path.parent)
    assert imported.days == (day - timedelta(days=1),)
    [refused] = imported.refused
    assert f"{good.path.name} holds an invalid record: compared.values must be an object." in refused


