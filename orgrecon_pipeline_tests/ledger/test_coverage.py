"""The coverage history of a ledger gives the same known and lost names on both databases."""

from __future__ import annotations

import itertools
import random
from datetime import datetime, timezone

import pytest

from orgrecon_pipeline.domain.coverage import CoverageChange, CoverageEvent, CoverageSubject
from orgrecon_pipeline.domain.evidence import Provenance
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline.ledger.statements import coverage as coverage_module
from orgrecon_pipeline_tests.support.ledger.cases import DAY, observation

pytestmark = pytest.mark.usefixtures("kept_connection")

TENANT = CoverageSubject.TENANT
APPEARED, DEPARTED, LOST = CoverageChange.APPEARED, CoverageChange.DEPARTED, CoverageChange.LOST


def at(hour: int, microsecond: int = 0) -> datetime:
    return datetime(DAY.year, DAY.month, DAY.day, hour, 0, 0, microsecond, timezone.utc)


def append_events(ledger: Ledger, observation_id: str, *events: tuple[CoverageSubject, str, CoverageChange],
                  provenance: Provenance = Provenance.LIVE) -> None:
    ledger.append(observation(observation_id, provenance=provenance), (), (),
                  [CoverageEvent(*event) for event in events])


def test_known_names_have_appeared_and_not_departed(ledger: Ledger) -> None:
    def known(subject: CoverageSubject = TENANT, *, simulated: bool = False) -> list[str]:
        return list(ledger.known_names(subject, simulated=simulated))

    append_events(ledger, "1", (TENANT, "b", APPEARED), (TENANT, "B", APPEARED), (TENANT, "ä", APPEARED),
                  (CoverageSubject.ENTITY, "b", APPEARED), (CoverageSubject.COLUMN, "b.b", APPEARED))
    assert known() == ["B", "b", "ä"]
    assert known(CoverageSubject.ENTITY) == ["b"]
    assert known(CoverageSubject.COLUMN) == ["b.b"]
    append_events(ledger, "2", (TENANT, "b", LOST), (TENANT, "B", DEPARTED))
    assert known() == ["b", "ä"], "a lost name stays known, a departed name does not"
    append_events(ledger, "3", (TENANT, "b", LOST))
    assert known() == ["b", "ä"]
    append_events(ledger, "4", (TENANT, "b", DEPARTED), (TENANT, "B", APPEARED))
    assert known() == ["B", "ä"]
    append_events(ledger, "5", (TENANT, "B", APPEARED), (TENANT, "demo", APPEARED), (TENANT, "ä", DEPARTED),
                  provenance=Provenance.SIMULATED)
    assert known() == ["B", "ä"], "simulated observations do not change the real history"
    assert known(simulated=True) == ["B", "demo"]
    append_events(ledger, "6", (TENANT, "restored", APPEARED), provenance=Provenance.RESTORED)
    assert known() == ["B", "restored", "ä"]
    assert known(simulated=True) == ["B", "demo"]
    assert ledger.lost_coverage("2") == [CoverageEvent(TENANT, "b", LOST)]
    assert ledger.lost_coverage("4") == []


def test_known_names_do_not_block_writers(ledger: Ledger) -> None:
    append_events(ledger, "1", *((TENANT, f"{number:06}", APPEARED) for number in range(30_000)))
    names = ledger.known_names(TENANT)
    assert next(names) == "000000"
    names.close()  # type: ignore[attr-defined]
    append_events(ledger, "2", (TENANT, "000000", DEPARTED))
    assert next(ledger.known_names(TENANT)) == "000001"


def test_lost_coverage_keeps_the_order_of_the_events(ledger: Ledger) -> None:
    lost = [CoverageEvent(subject, name, LOST) for subject in (CoverageSubject.COLUMN, TENANT)
            for name in ("z", "a", "ä")]
    ledger.append(observation("a"), (), (), [*lost, CoverageEvent(TENANT, "q", APPEARED)])
    assert ledger.lost_coverage("a") == lost


@pytest.mark.parametrize("page", [1, 2, 3, 7, 1_000])
def test_known_names_equal_a_replay_of_a_random_history(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    """The history is appended in another order than the observations were made, and read in pages of several sizes."""
    monkeypatch.setattr(coverage_module, "_PAGE", page)
    chance = random.Random(page)
    history: list[tuple[datetime | None, int, bool, list[CoverageEvent]]] = []
    for number in range(12):
        events = [CoverageEvent(chance.choice((TENANT, TENANT, CoverageSubject.ENTITY)), chance.choice("abcÄß"),
                                chance.choice(tuple(CoverageChange))) for _ in range(chance.randrange(6))]
        moment = chance.choice([None, at(8), at(9), at(chance.randrange(24))])
        simulated = chance.random() < 0.3
        ledger.append(observation(str(number), observed_at=moment,
                                  provenance=Provenance.SIMULATED if simulated else Provenance.LIVE), (), (), events)
        history.append((moment, number, simulated, events))
    history.sort(key=lambda entry: (entry[0] or datetime.min.replace(tzinfo=timezone.utc), entry[1]))
    for subject, asked_simulated, until in itertools.product(
        CoverageSubject, (False, True), (None, at(7, 999_999), at(9))
    ):
        expected = {
            event.name: event.change for moment, _, simulated, events in history
            if simulated is asked_simulated and (until is None or (moment is not None and moment <= until))
            for event in events if event.subject is subject and event.change is not LOST
        }
        assert list(ledger.known_names(subject, simulated=asked_simulated, until=until)) == sorted(
            name for name, change in expected.items() if change is APPEARED)


def test_known_names_ignore_events_appended_during_the_iteration(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coverage_module, "_PAGE", 2)
    append_events(ledger, "1", *((TENANT, name, APPEARED) for name in "acegi"))
    names = ledger.known_names(TENANT)
    first = next(names)
    append_events(ledger, "2", *((TENANT, name, APPEARED) for name in "bdfhj"),
                  *((TENANT, name, DEPARTED) for name in "gi"))
    assert [first, *names] == list("acegi")
    assert list(ledger.known_names(TENANT)) == list("abcdefhj")
