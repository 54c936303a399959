"""The deciding observation of a day: one character per observation, oldest first, as in the gate's table of cases."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone

import pytest

from orgrecon_pipeline.domain.evidence import Provenance, Verdict, deciding_observation

_NOON = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
_MEANING = {
    "P": (Provenance.LIVE, Verdict.PASS), "F": (Provenance.LIVE, Verdict.FAIL),
    "I": (Provenance.LIVE, Verdict.INCONCLUSIVE), "b": (Provenance.BASELINE, Verdict.PASS),
    "s": (Provenance.SIMULATED, Verdict.PASS), "r": (Provenance.RESTORED, Verdict.FAIL),
}


@dataclass(frozen=True)
class Item:
    id: str
    provenance: Provenance
    verdict: Verdict
    observed_at: datetime | None


def observations(text: str) -> list[Item]:
    return [
        Item(str(number), *_MEANING[letter], None if letter == "b" else _NOON + timedelta(minutes=number))
        for number, letter in enumerate(text)
    ]


@pytest.mark.parametrize(("text", "latest", "worst"), [
    ("P", 0, 0),
    ("PF", 1, 1),
    ("FP", 1, 0),
    ("PP", 1, 1),
    ("PI", 0, 0),      # a failed rerun hides nothing
    ("FI", 0, 0),
    ("IP", 1, 1),
    ("II", 1, 1),
    ("FPI", 1, 0),
    ("PFP", 2, 1),
    ("bP", 1, 1),
    ("Pb", 0, 0),      # a baseline never replaces a live report
    ("Fb", 0, 0),
    ("bI", 1, 1),      # a comparison outranks a baseline, even if it failed
    ("Ib", 0, 0),
    ("Ps", 0, 0),      # a simulated observation never replaces a live one
    ("Is", 0, 0),
    ("Pr", 1, 1),
    ("b", 0, 0),
])
def test_deciding_observation_follows_the_same_day_rule(text: str, latest: int, worst: int) -> None:
    items = observations(text)
    assert deciding_observation(items, "latest") is items[latest]
    assert deciding_observation(items, "worst") is items[worst]
    assert deciding_observation(list(reversed(items)), "latest") is items[latest]


def test_day_without_observations_has_no_deciding_observation() -> None:
    assert deciding_observation([], "latest") is None


@pytest.mark.parametrize("text", ["PF", "FP", "FPI", "PPF"])
def test_same_timestamp_is_decided_by_the_worse_verdict(text: str) -> None:
    """Ids are hashes, so their order must not matter."""
    items = [replace(item, observed_at=_NOON) for item in observations(text)]
    for given in (items, items[::-1]):
        deciding = deciding_observation(given, "latest")
        assert deciding is not None
        assert deciding.verdict is Verdict.FAIL
