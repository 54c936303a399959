"""A ledger returns what was appended, and the same on both databases."""

from __future__ import annotations

import random
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

import pytest

from orgrecon_pipeline.domain.canonical import canonical_json
from orgrecon_pipeline.domain.coverage import CoverageChange, CoverageEvent, CoverageSubject
from orgrecon_pipeline.domain.drift.kinds import Counts, DriftKind
from orgrecon_pipeline.domain.evidence import FIGURES, EntityTotals, Observation, Provenance, Verdict
from orgrecon_pipeline.domain.gate.decision import DayEvidence, decide_gate
from orgrecon_pipeline.domain.mapping.model import GatePolicy
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline_tests.support.default_identity import build_record, open_existing, open_ledger
from orgrecon_pipeline_tests.support.ledger.cases import AWKWARD, DAY, contents, full, observation, tenant_row, totals

pytestmark = pytest.mark.usefixtures("kept_connection")

LIVE = (Provenance.LIVE,)


def at(hour: int, microsecond: int = 0, day: date = DAY) -> datetime:
    return datetime(day.year, day.month, day.day, hour, 0, 0, microsecond, timezone.utc)


def test_appended_values_are_returned_unchanged(ledger: Ledger, ledger_url: str) -> None:
    fail, rows, samples, coverage = full()
    assert ledger.append(fail, rows, samples, coverage) is True

    reopened = open_existing(ledger_url)  # its own engine, so nothing comes from a cache
    assert reopened is not None
    [stored] = reopened.observations(DAY)
    assert stored == fail
    assert list(stored.entities) == ["a_last", "org_units"]
    assert canonical_json(stored.compared) == canonical_json(AWKWARD)
    assert canonical_json(stored.reason_parameters) == canonical_json(AWKWARD)
    assert reopened.samples("full") == samples
    assert reopened.lost_coverage("full") == [
        CoverageEvent(CoverageSubject.COLUMN, "org_units.name", CoverageChange.LOST)]
    assert sorted(reopened.breakdown("full", 10), key=str) == sorted(rows, key=str)


def test_empty_ledger_returns_empty_results(ledger: Ledger) -> None:
    assert ledger.days() == []
    assert ledger.observations(DAY) == []
    assert ledger.deciding(DAY, "latest") is None
    assert ledger.latest(tuple(Provenance)) is None
    assert ledger.first(tuple(Provenance)) is None
    assert ledger.evidence(date.max) == {}
    assert ledger.verdict_counts() == {}
    assert ledger.breakdown("unknown", 5) == []
    assert ledger.samples("unknown") == []
    assert ledger.lost_coverage("unknown") == []
    assert list(ledger.known_names(CoverageSubject.TENANT)) == []
    assert ledger.acknowledgements("coverage") == []
    assert list(ledger.tenant_drift("unknown").columns)[:2] == ["tenant", "entity"]


def test_append_of_a_known_id_changes_nothing(ledger: Ledger) -> None:
    ledger.append(*full())
    before = contents(ledger)
    other = observation("full", DAY + timedelta(days=1), Verdict.PASS)
    event = CoverageEvent(CoverageSubject.TENANT, "new", CoverageChange.APPEARED)
    assert ledger.append(other, [tenant_row("new")], [], [event]) is False
    assert contents(ledger) == before


@pytest.mark.parametrize("moment", [
    datetime(2026, 11, 23, 8, 0, 3, 1, timezone.utc),
    datetime(2026, 11, 23, 23, 59, 59, 999_999, timezone.utc),
    datetime(1970, 1, 1, tzinfo=timezone.utc),
    datetime(9999, 12, 31, 23, 59, 59, 999_999, timezone.utc),
    datetime(2026, 3, 29, 1, 30, 0, 123_456, timezone(timedelta(hours=-7, minutes=-30))),
    None,
])
def test_timestamp_is_exact_and_in_utc(ledger: Ledger, moment: datetime | None) -> None:
    ledger.append(observation("a", observed_at=moment), (), (), ())
    [stored] = ledger.observations(DAY)
    assert stored.observed_at == moment
    assert moment is None or (stored.observed_at is not None and stored.observed_at.utcoffset() == timedelta(0))


def test_unknown_figures_stay_unknown(ledger: Ledger) -> None:
    undecided = observation(
        "a", verdict=Verdict.INCONCLUSIVE, tenants_scanned=None, tenants_with_drift=None,
        entities={"org_units": EntityTotals.unknown(), "partly": totals(None, missing=3, source_rows=4)},
    )
    ledger.append(undecided, (), (), ())
    assert ledger.observations(DAY) == [undecided]


def test_days_are_sorted_and_distinct(ledger: Ledger) -> None:
    days = [date(2026, 3, 1), date(2024, 2, 29), date(2026, 2, 28), date(2025, 12, 31)]
    for number, day in enumerate([*days, *days]):
        ledger.append(observation(str(number), day), (), (), ())
    assert ledger.days() == sorted(days)


def test_observations_of_a_day_have_the_order_in_which_they_were_appended(ledger: Ledger) -> None:
    for appended in (
        observation("a", observed_at=at(9)), observation("c", observed_at=at(8)),
        observation("b", observed_at=None, provenance=Provenance.BASELINE),
        observation("B", observed_at=at(9)),
    ):
        ledger.append(appended, (), (), ())
    assert [stored.id for stored in ledger.observations(DAY)] == ["a", "c", "b", "B"]


def test_deciding_observation_follows_the_same_day_policy(ledger: Ledger) -> None:
    ledger.append(observation("fail", verdict=Verdict.FAIL, observed_at=at(8)), (), (), ())
    ledger.append(observation("pass", observed_at=at(9)), (), (), ())
    ledger.append(observation("broken", verdict=Verdict.INCONCLUSIVE, observed_at=at(10)), (), (), ())
    for same_day, expected in (("latest", "pass"), ("worst", "fail")):
        deciding = ledger.deciding(DAY, same_day)  # type: ignore[arg-type]
        assert deciding is not None
        assert deciding.id == expected


def test_latest_and_first_observation_respect_their_filters(ledger: Ledger) -> None:
    for appended in (
        observation("live 2", observed_at=at(9, 2)),
        observation("live 1", observed_at=at(9, 1), verdict=Verdict.FAIL),
        observation("undecided first", observed_at=at(7), verdict=Verdict.INCONCLUSIVE, tenants_scanned=3),
        observation("broken last", observed_at=at(11), verdict=Verdict.INCONCLUSIVE, tenants_scanned=None),
        observation("demo", observed_at=at(23), provenance=Provenance.SIMULATED),
        observation("baseline", observed_at=None, provenance=Provenance.BASELINE),
    ):
        ledger.append(appended, (), (), ())

    def id_of(result: Observation | None) -> str | None:
        return result.id if result else None

    assert id_of(ledger.latest(LIVE)) == "broken last"
    assert id_of(ledger.latest(LIVE, completed_only=True)) == "live 2"
    assert id_of(ledger.first(LIVE)) == "undecided first"
    assert id_of(ledger.first(LIVE, decided_only=True)) == "live 1"
    assert id_of(ledger.latest((Provenance.LIVE, Provenance.SIMULATED))) == "demo"
    assert ledger.latest((Provenance.RESTORED,)) is None
    # A baseline has no timestamp: it is older than everything else on both databases.
    assert id_of(ledger.first((Provenance.LIVE, Provenance.BASELINE))) == "baseline"
    assert id_of(ledger.latest((Provenance.LIVE, Provenance.BASELINE))) == "broken last"
    assert id_of(ledger.latest((Provenance.BASELINE,))) == "baseline"
    assert ledger.latest(()) is None


def test_observations_with_equal_timestamps_are_ordered_by_id(ledger: Ledger) -> None:
    for name in ("b", "Z", "é", "a"):
        ledger.append(observation(name), (), (), ())
    first, latest = ledger.first(LIVE), ledger.latest(LIVE)
    assert first is not None
    assert latest is not None
    assert (first.id, latest.id) == ("Z", "é")


@pytest.mark.parametrize("entities", [
    {}, {"a": totals()}, {"a": totals(missing=1, duplicate=2), "b": totals(missing=4)},
    {"a": EntityTotals.unknown()}, {"a": totals(missing=1), "b": EntityTotals.unknown()},
    {"a": totals(missing=1, unexpected=None), "b": totals(unexpected=3, mismatched=7)},
])
def test_evidence_has_the_counts_of_its_observation(ledger: Ledger, entities: dict[str, EntityTotals]) -> None:
    appended = observation("a", entities=entities)
    ledger.append(appended, (), (), ())
    [evidence] = ledger.evidence(DAY).values()
    assert evidence.counts == appended.counts
    assert all(figure is None or type(figure) is int for figure in evidence.counts.values())
    assert list(evidence.counts) == list(DriftKind)


def test_evidence_of_many_days_comes_from_their_deciding_observations(ledger: Ledger) -> None:
    def day(back: int) -> date:
        return DAY - timedelta(days=back)

    for appended in (
        observation("today", day(0)),
        observation("fail", day(1), Verdict.FAIL, observed_at=at(8, day=day(1))),
        observation("pass", day(1), observed_at=at(9, day=day(1)), tenants_scanned=0),
        observation("baseline", day(2), provenance=Provenance.BASELINE, observed_at=None, tenants_scanned=0,
                    entities={"a": EntityTotals.zero()}),
        # It does not decide the day, but it found a tenant.
        observation("found a tenant", day(3), Verdict.INCONCLUSIVE, observed_at=at(7, day=day(3)), tenants_scanned=1),
        observation("failed", day(3), Verdict.INCONCLUSIVE, observed_at=at(9, day=day(3)), tenants_scanned=None,
                    entities={"a": EntityTotals.unknown()}),
        observation("demo", day(2), provenance=Provenance.SIMULATED, observed_at=at(9, day=day(2))),
        observation("no tenant", day(2), observed_at=at(8, day=day(2)), tenants_scanned=0),
    ):
        ledger.append(appended, (), (), ())

    evidence = ledger.evidence(day(0))
    assert list(evidence) == [day(3), day(2), day(1), day(0)]
    assert [entry.verdict for entry in evidence.values()] == [Verdict.INCONCLUSIVE, *[Verdict.PASS] * 3]
    assert [entry.saw_a_tenant for entry in evidence.values()] == [True, False, True, True]
    assert evidence[day(1)].reason.sentence == "the reason of pass"
    assert evidence[day(2)].reason.sentence == "the reason of no tenant"
    assert evidence[day(3)].counts == Counts.unknown()
    assert all(entry.day == date_ for date_, entry in evidence.items())

    worst = evidence[day(1)].under(GatePolicy(same_day="worst"))
    assert (worst.verdict, worst.reason.sentence) == (Verdict.FAIL, "the reason of fail")
    assert list(ledger.evidence(day(2))) == [day(3), day(2)]
    for date_, entry in evidence.items():  # both ways to the deciding observation agree
        deciding = ledger.deciding(date_, "latest")
        assert deciding is not None
        assert (deciding.reason, deciding.why, deciding.counts) == (entry.reason.sentence, entry.reason, entry.counts)


def test_breakdown_lists_tenants_with_most_drift_first(ledger: Ledger) -> None:
    rows = [
        tenant_row("clean b"), tenant_row("clean b", "org_unit_memberships"),
        tenant_row("three", missing=1), tenant_row("three", "org_unit_memberships", duplicate=2),
        tenant_row("Three", mismatched=3), tenant_row("four", unexpected=4), tenant_row("ähnlich"),
        tenant_row("clean a", transient=99), tenant_row("clean a", "org_unit_memberships"),
    ]
    ledger.append(observation("a"), reversed(rows), (), ())
    ledger.append(observation("b"), [tenant_row("other", missing=9)], (), ())
    breakdown = ledger.breakdown("a", 200)
    assert [(row.tenant, row.entity) for row in breakdown] == [
        ("four", "org_units"), ("Three", "org_units"), ("three", "org_unit_memberships"), ("three", "org_units"),
        ("clean a", "org_unit_memberships"), ("clean a", "org_units"),
        ("clean b", "org_unit_memberships"), ("clean b", "org_units"), ("ähnlich", "org_units"),
    ]
    assert sorted(breakdown, key=str) == sorted(rows, key=str)
    # The limit never splits a tenant.
    assert [row.tenant for row in ledger.breakdown("a", 3)] == ["four", "Three", "three", "three"]
    assert ledger.breakdown("a", 0) == []


def test_breakdown_of_many_tenants_equals_a_sort_in_memory(ledger: Ledger) -> None:
    chance = random.Random(0)
    names = chance.sample([f"{letter}{number}" for letter in "abÄz" for number in range(150)], 500)
    rows = [
        tenant_row(name, entity, **{chance.choice(list(DriftKind)): chance.choice((0, 0, 1, 2))})
        for name in names for entity in ("org_units", "org_unit_memberships")
    ]
    ledger.append(observation("a"), rows, (), ())
    drift = {name: sum(row.drift for row in rows if row.tenant == name) for name in names}
    ordered = sorted(names, key=lambda name: (-drift[name], name))
    for limit in (1, 37, 499, 1_000):
        expected = [(name, entity) for name in ordered[:limit] for entity in ("org_unit_memberships", "org_units")]
        assert [(row.tenant, row.entity) for row in ledger.breakdown("a", limit)] == expected


def test_tenant_drift_is_a_data_frame_with_integer_figures(ledger: Ledger) -> None:
    fail, rows, _, _ = full()
    ledger.append(fail, rows, (), ())
    frame = ledger.tenant_drift("full")
    assert list(frame.columns) == ["tenant", "entity", *FIGURES, "first_seen"]
    assert {str(frame[name].dtype) for name in FIGURES} == {"int64"}
    ordered = sorted(rows, key=lambda row: (row.tenant.encode(), list(fail.entities).index(row.entity)))
    assert frame.to_dict("records") == [{name: getattr(row, name) for name in frame.columns} for row in ordered]
    empty = ledger.tenant_drift("unknown")
    assert {str(empty[name].dtype) for name in FIGURES} == {"int64"}


def test_acknowledgements_are_returned_by_kind_in_recorded_order(ledger: Ledger) -> None:
    ledger.append(observation("a"), (), (), ())
    moment = datetime(2026, 11, 23, 9, 0, 0, 123_456, timezone.utc)
    ledger.acknowledge("coverage", "the tenant Ä has left us", "a", {"lost": ["tenant Ä"], "x": {"y": 0.1}}, moment)
    ledger.acknowledge("source", "moved", None, {"databases": {}}, moment)
    ledger.acknowledge("coverage", "again", "a", {}, moment - timedelta(days=1))
    first, second = ledger.acknowledgements("coverage")
    assert (first.kind, first.reason, first.observation_id, first.details, first.recorded_at) == (
        "coverage", "the tenant Ä has left us", "a", {"lost": ["tenant Ä"], "x": {"y": 0.1}}, moment)
    assert second.reason == "again"
    [source] = ledger.acknowledgements("source")
    assert source.observation_id is None


def test_verdict_counts_omit_verdicts_without_observations(ledger: Ledger) -> None:
    for number, verdict in enumerate([Verdict.PASS, Verdict.FAIL, Verdict.PASS]):
        ledger.append(observation(str(number), verdict=verdict), (), (), ())
    assert ledger.verdict_counts() == {Verdict.PASS: 2, Verdict.FAIL: 1}


def test_record_is_the_same_from_both_databases_and_from_memory(both_ledgers: tuple[Ledger, Ledger]) -> None:
    lines = set()
    for ledger in both_ledgers:
        for back in range(1, 9):
            ledger.append(observation(str(back), DAY - timedelta(days=back)), (), (), ())
        ledger.append(observation("baseline", provenance=Provenance.BASELINE, observed_at=None), (), (), ())
        ledger.append(*full())
        deciding = ledger.deciding(DAY, "latest")
        assert deciding is not None
        record = build_record(
            deciding, ledger.observations(DAY), ledger.breakdown(deciding.id, 200), ledger.samples(deciding.id),
            decide_gate(DAY, ledger.evidence(DAY), GatePolicy()),
        )
        assert record.digest == record.expected_digest()
        lines.add(record.line())
    assert lines == {record_line_in_memory()}


def record_line_in_memory() -> str:
    """Return the same record, built without a ledger."""
    fail, rows, samples, _ = full()
    baseline = observation("baseline", provenance=Provenance.BASELINE, observed_at=None)
    days = {DAY - timedelta(days=back): observation(str(back), DAY - timedelta(days=back)) for back in range(1, 9)}
    evidence = {
        day: DayEvidence(day, made.verdict, made.provenance, made.mapping_digest, made.saw_a_tenant, made.why,
                         made.counts)
        for day, made in {**days, DAY: fail}.items()
    }
    order = ["zeta", "", "Ärger | `x`"]
    breakdown = sorted(rows, key=lambda row: (order.index(row.tenant), list(fail.entities).index(row.entity)))
    return build_record(
        fail, [baseline, fail], breakdown, samples, decide_gate(DAY, evidence, GatePolicy())).line()


def test_ledger_file_is_created_under_any_name(tmp_path: Path) -> None:
    for name in ("led ger.db", "ä%20.db", "a+b.db", "file:x.db"):
        path = tmp_path / "deep" / "er" / name
        open_ledger(f"sqlite:///{path}").append(observation("a"), (), (), ())
        assert path.stat().st_size > 0
        reopened = open_existing(f"sqlite:///{path}")
        assert reopened is not None
        assert reopened.days() == [DAY]
