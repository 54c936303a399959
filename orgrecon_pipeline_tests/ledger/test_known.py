"""Which tenants, entities and columns a ledger knows of, and what was lost: the same from both databases."""

from __future__ import annotations

import itertools
import random
from datetime import datetime, timezone

import pytest

from orgrecon_pipeline.domain.coverage import CoverageChange, CoverageEvent, CoverageSubject
from orgrecon_pipeline.domain.evidence import Provenance
from orgrecon_pipeline.ledger import coverage as covering
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline_tests.support.ledger.cases import DAY, observation


def at(hour: int, microsecond: int = 0) -> datetime:
    return datetime(DAY.year, DAY.month, DAY.day, hour, 0, 0, microsecond, timezone.utc)


def events(ledger: Ledger, name: str, *found: tuple[CoverageSubject, str, CoverageChange],
           provenance: Provenance = Provenance.LIVE) -> None:
    ledger.append(observation(name, provenance=provenance), (), (), [CoverageEvent(*event) for event in found])


def test_known_is_what_appeared_and_has_not_departed(ledger: Ledger) -> None:
    def known(subject: CoverageSubject = CoverageSubject.TENANT, *, simulated: bool = False) -> list[str]:
        return list(ledger.known(subject, simulated=simulated))

    tenant, appeared, departed, lost = CoverageSubject.TENANT, CoverageChange.APPEARED, CoverageChange.DEPARTED, CoverageChange.LOST
    events(ledger, "1", (tenant, "b", appeared), (tenant, "B", appeared), (tenant, "ä", appeared),
           (CoverageSubject.ENTITY, "b", appeared), (CoverageSubject.COLUMN, "b.b", appeared))
    assert known() == ["B", "b", "ä"]
    assert known(CoverageSubject.ENTITY) == ["b"]
    assert known(CoverageSubject.COLUMN) == ["b.b"]
    events(ledger, "2", (tenant, "b", lost), (tenant, "B", departed))
    assert known() == ["b", "ä"], "what is lost stays known, what departed does not"
    events(ledger, "3", (tenant, "b", lost))
    assert known() == ["b", "ä"]
    events(ledger, "4", (tenant, "b", departed), (tenant, "B", appeared))
    assert known() == ["B", "ä"]
    events(ledger, "5", (tenant, "B", appeared), (tenant, "demo", appeared), (tenant, "ä", departed),
           provenance=Provenance.SIMULATED)
    assert known() == ["B", "ä"], "what is simulated teaches nothing about what is real"
    assert known(simulated=True) == ["B", "demo"]
    events(ledger, "6", (tenant, "restored", appeared), provenance=Provenance.RESTORED)
    assert known() == ["B", "restored", "ä"]
    assert known(simulated=True) == ["B", "demo"]
    assert ledger.lost("2") == [CoverageEvent(tenant, "b", lost)]
    assert ledger.lost("4") == []


def test_known_can_be_read_while_the_ledger_is_written(ledger: Ledger) -> None:
    events(ledger, "1", *((CoverageSubject.TENANT, f"{number:06}", CoverageChange.APPEARED) for number in range(30_000)))
    names = ledger.known(CoverageSubject.TENANT, simulated=False)
    assert next(names) == "000000"
    names.close()  # type: ignore[attr-defined]
    events(ledger, "2", (CoverageSubject.TENANT, "000000", CoverageChange.DEPARTED))
    assert next(ledger.known(CoverageSubject.TENANT, simulated=False)) == "000001"


def test_what_was_lost_keeps_its_order(ledger: Ledger) -> None:
    found = [CoverageEvent(subject, name, CoverageChange.LOST) for subject in (CoverageSubject.COLUMN, CoverageSubject.TENANT)
             for name in ("z", "a", "ä")]
    ledger.append(observation("a"), (), (), [*found, CoverageEvent(CoverageSubject.TENANT, "q", CoverageChange.APPEARED)])
    assert ledger.lost("a") == found


@pytest.mark.parametrize("page", [1, 2, 3, 7, 1_000])
def test_pages_of_what_is_known_make_no_difference(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    """Against a plain replay of a random history, in which ledgers were rebuilt in another order than days passed."""
    monkeypatch.setattr(covering, "_PAGE", page)
    chance = random.Random(page)
    history: list[tuple[datetime | None, int, bool, list[CoverageEvent]]] = []
    for number in range(12):
        found = [CoverageEvent(chance.choice((CoverageSubject.TENANT, CoverageSubject.TENANT, CoverageSubject.ENTITY)), chance.choice("abcÄß"),
                               chance.choice(tuple(CoverageChange))) for _ in range(chance.randrange(6))]
        moment = chance.choice([None, at(8), at(9), at(chance.randrange(24))])
        demo = chance.random() < 0.3
        ledger.append(observation(str(number), observed_at=moment,
                                  provenance=Provenance.SIMULATED if demo else Provenance.LIVE), (), (), found)
        history.append((moment, number, demo, found))
    history.sort(key=lambda one: (one[0] or datetime.min.replace(tzinfo=timezone.utc), one[1]))
    for subject, simulated, until in itertools.product(CoverageSubject, (False, True), (None, at(7, 999_999), at(9))):
        expected = {
            name: happening for moment, _, demo, found in history
            if demo is simulated and (until is None or (moment is not None and moment <= until))
            for kind, name, happening in found if kind is subject and happening is not CoverageChange.LOST
        }
        assert list(ledger.known(subject, simulated=simulated, until=until)) == sorted(
            name for name, happening in expected.items() if happening is CoverageChange.APPEARED)


def test_what_is_appended_while_names_are_read_does_not_count(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(covering, "_PAGE", 2)
    events(ledger, "1", *((CoverageSubject.TENANT, name, CoverageChange.APPEARED) for name in "acegi"))
    names = ledger.known(CoverageSubject.TENANT, simulated=False)
    read = [next(names)]
    events(ledger, "2", *((CoverageSubject.TENANT, name, CoverageChange.APPEARED) for name in "bdfhj"),
           *((CoverageSubject.TENANT, name, CoverageChange.DEPARTED) for name in "gi"))
    assert [*read, *names] == list("acegi")
    assert list(ledger.known(CoverageSubject.TENANT, simulated=False)) == list("abcdefhj")
