"""What is appended comes back, the same from both databases."""

from __future__ import annotations

import random
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

import pytest

from orgrecon_pipeline.domain.canonical import canonical_json
from orgrecon_pipeline.domain.coverage import CoverageChange, CoverageEvent, CoverageSubject
from orgrecon_pipeline.domain.evidence import KINDS, EntityTotals, Provenance, Verdict
from orgrecon_pipeline.domain.gate import decide_gate
from orgrecon_pipeline.domain.mapping import GatePolicy
from orgrecon_pipeline.domain.record import build_record
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline.ledger.open import open_existing, open_ledger
from orgrecon_pipeline_tests.support.ledger.cases import AWKWARD, DAY, full, holdings, observation, tenant_row, totals

LIVE = (Provenance.LIVE,)


def at(hour: int, microsecond: int = 0, day: date = DAY) -> datetime:
    return datetime(day.year, day.month, day.day, hour, 0, 0, microsecond, timezone.utc)


def test_everything_comes_back(ledger: Ledger, ledger_url: str) -> None:
    observed, rows, samples, coverage = full()
    assert ledger.append(observed, rows, samples, coverage) is True

    again = open_existing(ledger_url)  # another engine: nothing comes from a cache
    assert again is not None
    [found] = again.observations(DAY)
    assert found == observed
    assert list(found.entities) == ["a_last", "org_units"]
    assert canonical_json(found.compared) == canonical_json(AWKWARD)
    assert again.samples("full") == samples
    assert again.lost("full") == [CoverageEvent(CoverageSubject.COLUMN, "org_units.name", CoverageChange.LOST)]
    assert sorted(again.breakdown("full", 10), key=str) == sorted(rows, key=str)


def test_an_empty_ledger_says_nothing(ledger: Ledger) -> None:
    assert ledger.days() == []
    assert ledger.observations(DAY) == []
    assert ledger.deciding(DAY, "latest") is None
    assert ledger.latest(tuple(Provenance)) is None
    assert ledger.first(tuple(Provenance)) is None
    assert ledger.evidence(date.max, "latest") == {}
    assert ledger.verdict_counts() == {}
    assert ledger.breakdown("nobody", 5) == []
    assert ledger.samples("nobody") == []
    assert ledger.lost("nobody") == []
    assert list(ledger.known(CoverageSubject.TENANT, simulated=False)) == []
    assert ledger.acknowledgements("coverage") == []
    assert list(ledger.tenant_drift("nobody").columns)[:2] == ["tenant", "entity"]


def test_an_id_that_is_there_changes_nothing(ledger: Ledger) -> None:
    ledger.append(*full())
    before = holdings(ledger)
    other = observation("full", DAY + timedelta(days=1), Verdict.PASS)
    event = CoverageEvent(CoverageSubject.TENANT, "new", CoverageChange.APPEARED)
    assert ledger.append(other, [tenant_row("new")], [], [event]) is False
    assert holdings(ledger) == before


@pytest.mark.parametrize("moment", [
    datetime(2026, 11, 23, 8, 0, 3, 1, timezone.utc),
    datetime(2026, 11, 23, 23, 59, 59, 999_999, timezone.utc),
    datetime(1970, 1, 1, tzinfo=timezone.utc),
    datetime(9999, 12, 31, 23, 59, 59, 999_999, timezone.utc),
    datetime(2026, 3, 29, 1, 30, 0, 123_456, timezone(timedelta(hours=-7, minutes=-30))),
    None,
])
def test_moments_are_exact(ledger: Ledger, moment: datetime | None) -> None:
    ledger.append(observation("a", observed_at=moment), (), (), ())
    [found] = ledger.observations(DAY)
    assert found.observed_at == moment
    assert moment is None or (found.observed_at is not None and found.observed_at.utcoffset() == timedelta(0))


def test_unknown_figures_stay_unknown(ledger: Ledger) -> None:
    undecided = observation(
        "a", verdict=Verdict.INCONCLUSIVE, tenants_scanned=None, tenants_with_drift=None,
        entities={"org_units": EntityTotals.unknown(), "partly": totals(None, missing=3, source_rows=4)},
    )
    ledger.append(undecided, (), (), ())
    assert ledger.observations(DAY) == [undecided]


def test_days_are_sorted_and_told_once(ledger: Ledger) -> None:
    days = [date(2026, 3, 1), date(2024, 2, 29), date(2026, 2, 28), date(2025, 12, 31)]
    for number, day in enumerate([*days, *days]):
        ledger.append(observation(str(number), day), (), (), ())
    assert ledger.days() == sorted(days)


def test_observations_of_a_day_are_told_oldest_first(ledger: Ledger) -> None:
    late, early, stamp = observation("a", observed_at=at(9)), observation("c", observed_at=at(8)), observation(
        "b", observed_at=None, provenance=Provenance.BASELINE)
    tie = observation("B", observed_at=at(9))  # capitals sort first by their bytes
    for seen in (late, early, stamp, tie):
        ledger.append(seen, (), (), ())
    assert [seen.id for seen in ledger.observations(DAY)] == ["b", "c", "B", "a"]


def test_what_decides_a_day(ledger: Ledger) -> None:
    ledger.append(observation("fail", verdict=Verdict.FAIL, observed_at=at(8)), (), (), ())
    ledger.append(observation("pass", observed_at=at(9)), (), (), ())
    ledger.append(observation("broken", verdict=Verdict.INCONCLUSIVE, observed_at=at(10)), (), (), ())
    for same_day, expected in (("latest", "pass"), ("worst", "fail")):
        decides = ledger.deciding(DAY, same_day)  # type: ignore[arg-type]
        assert decides is not None
        assert decides.id == expected


def test_latest_and_first(ledger: Ledger) -> None:
    for seen in (
        observation("live 2", observed_at=at(9, 2)),
        observation("live 1", observed_at=at(9, 1), verdict=Verdict.FAIL),
        observation("undecided first", observed_at=at(7), verdict=Verdict.INCONCLUSIVE, tenants_scanned=3),
        observation("broken last", observed_at=at(11), verdict=Verdict.INCONCLUSIVE, tenants_scanned=None),
        observation("demo", observed_at=at(23), provenance=Provenance.SIMULATED),
        observation("stamp", observed_at=None, provenance=Provenance.BASELINE),
    ):
        ledger.append(seen, (), (), ())

    def name(found: object) -> str | None:
        return getattr(found, "id", None)

    assert name(ledger.latest(LIVE)) == "broken last"
    assert name(ledger.latest(LIVE, completed_only=True)) == "live 2"
    assert name(ledger.first(LIVE)) == "undecided first"
    assert name(ledger.first(LIVE, decided_only=True)) == "live 1"
    assert name(ledger.latest((Provenance.LIVE, Provenance.SIMULATED))) == "demo"
    assert ledger.latest((Provenance.RESTORED,)) is None
    # A stamp has no moment: it is older than everything, on both databases.
    assert name(ledger.first((Provenance.LIVE, Provenance.BASELINE))) == "stamp"
    assert name(ledger.latest((Provenance.LIVE, Provenance.BASELINE))) == "broken last"
    assert name(ledger.latest((Provenance.BASELINE,))) == "stamp"
    assert ledger.latest(()) is None


def test_equal_moments_are_ordered_by_id(ledger: Ledger) -> None:
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
def test_evidence_has_the_drift_of_its_observation(ledger: Ledger, entities: dict[str, EntityTotals]) -> None:
    seen = observation("a", entities=entities)
    ledger.append(seen, (), (), ())
    [evidence] = ledger.evidence(DAY, "latest").values()
    assert dict(evidence.drift) == seen.drift_by_kind()
    assert all(figure is None or type(figure) is int for figure in evidence.drift.values())
    assert list(evidence.drift) == list(KINDS)


def test_evidence_of_many_days(ledger: Ledger) -> None:
    def day(back: int) -> date:
        return DAY - timedelta(days=back)

    for seen in (
        observation("today", day(0)),
        observation("fail", day(1), Verdict.FAIL, observed_at=at(8, day=day(1)), mapping_digest="other"),
        observation("pass", day(1), observed_at=at(9, day=day(1)), tenants_scanned=0),
        observation("stamp", day(2), provenance=Provenance.BASELINE, observed_at=None, tenants_scanned=0,
                    entities={"a": EntityTotals.zero()}),
        # It decides nothing, and yet it has seen a tenant.
        observation("saw one", day(3), Verdict.INCONCLUSIVE, observed_at=at(7, day=day(3)), tenants_scanned=1),
        observation("saw none", day(3), Verdict.INCONCLUSIVE, observed_at=at(9, day=day(3)), tenants_scanned=None,
                    entities={"a": EntityTotals.unknown()}),
        observation("a demo saw one", day(2), provenance=Provenance.SIMULATED, observed_at=at(9, day=day(2))),
        observation("it is empty", day(2), observed_at=at(8, day=day(2)), tenants_scanned=0),
    ):
        ledger.append(seen, (), (), ())

    found = ledger.evidence(day(0), "latest")
    assert list(found) == [day(3), day(2), day(1), day(0)]
    assert [d.verdict for d in found.values()] == [Verdict.INCONCLUSIVE, *[Verdict.PASS] * 3]
    assert [d.saw_a_tenant for d in found.values()] == [True, False, True, True]
    assert found[day(1)].reason == "the reason of pass"
    assert found[day(2)].reason == "the reason of it is empty"
    assert found[day(3)].drift == dict.fromkeys(KINDS)
    assert all(d == evidence.day for d, evidence in found.items())

    worst = ledger.evidence(day(0), "worst")[day(1)]
    assert (worst.verdict, worst.mapping_digest) == (Verdict.FAIL, "other")
    assert list(ledger.evidence(day(2), "latest")) == [day(3), day(2)]
    for d in found:  # the two ways to the deciding observation agree
        decides = ledger.deciding(d, "latest")
        assert decides is not None
        assert (decides.reason, decides.drift_by_kind()) == (found[d].reason, found[d].drift)


def test_breakdown_shows_the_most_drift_first(ledger: Ledger) -> None:
    rows = [
        tenant_row("clean b"), tenant_row("clean b", "org_unit_memberships"),
        tenant_row("three", missing=1), tenant_row("three", "org_unit_memberships", duplicate=2),
        tenant_row("Three", mismatched=3), tenant_row("four", unexpected=4), tenant_row("ähnlich"),
        tenant_row("clean a", transient=99), tenant_row("clean a", "org_unit_memberships"),
    ]
    ledger.append(observation("a"), reversed(rows), (), ())
    ledger.append(observation("b"), [tenant_row("other", missing=9)], (), ())
    shown = ledger.breakdown("a", 200)
    assert [(row.tenant, row.entity) for row in shown] == [
        ("four", "org_units"), ("Three", "org_units"), ("three", "org_unit_memberships"), ("three", "org_units"),
        ("clean a", "org_unit_memberships"), ("clean a", "org_units"),
        ("clean b", "org_unit_memberships"), ("clean b", "org_units"), ("ähnlich", "org_units"),
    ]
    assert sorted(shown, key=str) == sorted(rows, key=str)
    # A tenant is shown whole or not at all.
    assert [row.tenant for row in ledger.breakdown("a", 3)] == ["four", "Three", "three", "three"]
    assert ledger.breakdown("a", 0) == []


def test_breakdown_of_many_tenants(ledger: Ledger) -> None:
    chance = random.Random(0)
    names = chance.sample([f"{letter}{number}" for letter in "abÄz" for number in range(150)], 500)
    rows = [
        tenant_row(name, entity, **{chance.choice(KINDS): chance.choice((0, 0, 1, 2))})
        for name in names for entity in ("org_units", "org_unit_memberships")
    ]
    ledger.append(observation("a"), rows, (), ())
    drift = {name: sum(row.drift for row in rows if row.tenant == name) for name in names}
    ordered = sorted(names, key=lambda name: (-drift[name], name))
    for limit in (1, 37, 499, 1_000):
        expected = [(name, entity) for name in ordered[:limit] for entity in ("org_unit_memberships", "org_units")]
        assert [(row.tenant, row.entity) for row in ledger.breakdown("a", limit)] == expected


def test_tenant_drift_is_a_table(ledger: Ledger) -> None:
    observed, rows, _, _ = full()
    ledger.append(observed, rows, (), ())
    frame = ledger.tenant_drift("full")
    assert list(frame.columns) == [
        "tenant", "entity", "source_rows", "target_rows", "missing", "unexpected", "mismatched", "duplicate",
        "transient",
    ]
    assert {str(frame[name].dtype) for name in frame.columns[2:]} == {"int64"}
    assert [tuple(record.values()) for record in frame.to_dict("records")] == [
        tuple(row.model_dump().values()) for row in sorted(
            rows, key=lambda row: (row.tenant.encode(), list(observed.entities).index(row.entity)))
    ]
    nothing = ledger.tenant_drift("nobody")
    assert {str(nothing[name].dtype) for name in nothing.columns[2:]} == {"int64"}


def test_acknowledgements(ledger: Ledger) -> None:
    ledger.append(observation("a"), (), (), ())
    moment = datetime(2026, 11, 23, 9, 0, 0, 123_456, timezone.utc)
    ledger.acknowledge("coverage", "the tenant Ä has left us", "a", {"lost": ["tenant Ä"], "x": {"y": 0.1}}, moment)
    ledger.acknowledge("source", "moved", None, {"database": "d"}, moment)
    ledger.acknowledge("coverage", "again", "a", {}, moment - timedelta(days=1))
    first, second = ledger.acknowledgements("coverage")
    assert (first.kind, first.reason, first.observation_id, first.details, first.recorded_at) == (
        "coverage", "the tenant Ä has left us", "a", {"lost": ["tenant Ä"], "x": {"y": 0.1}}, moment)
    assert second.reason == "again", "in the order in which they were made"
    [source] = ledger.acknowledgements("source")
    assert source.observation_id is None


def test_verdicts_are_counted(ledger: Ledger) -> None:
    for number, verdict in enumerate([Verdict.PASS, Verdict.FAIL, Verdict.PASS]):
        ledger.append(observation(str(number), verdict=verdict), (), (), ())
    assert ledger.verdict_counts() == {Verdict.PASS: 2, Verdict.FAIL: 1}


def test_both_databases_give_the_same_record(both: tuple[Ledger, Ledger]) -> None:
    lines = set()
    for ledger in both:
        for back in range(1, 9):
            ledger.append(observation(str(back), DAY - timedelta(days=back)), (), (), ())
        ledger.append(observation("stamp", provenance=Provenance.BASELINE, observed_at=None), (), (), ())
        ledger.append(*full())
        decides = ledger.deciding(DAY, "latest")
        assert decides is not None
        record = build_record(
            decides, ledger.observations(DAY), ledger.breakdown(decides.id, 200), ledger.samples(decides.id),
            decide_gate(DAY, ledger.evidence(DAY, "latest"), GatePolicy()),
        )
        assert record.digest == record.expected_digest()
        lines.add(record.line())
    assert len(lines) == 1
    assert lines.pop() == record_in_memory()


def record_in_memory() -> str:
    """The same record without any ledger: what went in, as it was."""
    observed, rows, samples, _ = full()
    stamp = observation("stamp", provenance=Provenance.BASELINE, observed_at=None)
    days = {DAY - timedelta(days=back): observation(str(back), DAY - timedelta(days=back)) for back in range(1, 9)}
    from orgrecon_pipeline.domain.gate import DayEvidence

    evidence = {
        day: DayEvidence(day, seen.verdict, seen.provenance, seen.mapping_digest, seen.saw_a_tenant, seen.reason,
                         seen.drift_by_kind())
        for day, seen in {**days, DAY: observed}.items()
    }
    order = ["zeta", "", "Ärger | `x`"]
    shown = sorted(rows, key=lambda row: (order.index(row.tenant), list(observed.entities).index(row.entity)))
    return build_record(observed, [stamp, observed], shown, samples, decide_gate(DAY, evidence, GatePolicy())).line()


def test_names_of_files(tmp_path: Path) -> None:
    """A file is made where the URL says, whatever its name has in it."""
    for name in ("led ger.db", "ä%20.db", "a+b.db", "file:x.db"):
        path = tmp_path / "deep" / "er" / name
        open_ledger(f"sqlite:///{path}").append(observation("a"), (), (), ())
        assert path.stat().st_size > 0
        again = open_existing(f"sqlite:///{path}")
        assert again is not None
        assert again.days() == [DAY]
