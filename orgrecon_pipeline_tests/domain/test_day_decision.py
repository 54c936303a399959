"""Which observation decides a day: one character each, oldest first, as in the gate's table of cases."""

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
class Seen:
    id: str
    provenance: Provenance
    verdict: Verdict
    observed_at: datetime | None


def observations(text: str) -> list[Seen]:
    return [
        Seen(str(place), *_MEANING[letter], None if letter == "b" else _NOON + timedelta(minutes=place))
        for place, letter in enumerate(text)
    ]


@pytest.mark.parametrize(("text", "latest", "worst"), [
    ("P", 0, 0),
    ("PF", 1, 1),
    ("FP", 1, 0),
    ("PP", 1, 1),
    ("PI", 0, 0),      # a rerun that failed hides nothing
    ("FI", 0, 0),
    ("IP", 1, 1),
    ("II", 1, 1),
    ("FPI", 1, 0),
    ("PFP", 2, 1),
    ("bP", 1, 1),
    ("Pb", 0, 0),      # a baseline never replaces a live report
    ("Fb", 0, 0),
    ("bI", 1, 1),      # the database was there and could not be compared: a stamp does not outrank that
    ("Ib", 0, 0),
    ("Ps", 0, 0),      # nor does the demo
    ("Is", 0, 0),
    ("Pr", 1, 1),
    ("b", 0, 0),
])
def test_which_decides(text: str, latest: int, worst: int) -> None:
    seen = observations(text)
    assert deciding_observation(seen, "latest") is seen[latest]
    assert deciding_observation(seen, "worst") is seen[worst]
    assert deciding_observation(list(reversed(seen)), "latest") is seen[latest]


def test_a_day_without_observations_is_decided_by_none() -> None:
    assert deciding_observation([], "latest") is None


@pytest.mark.parametrize("text", ["PF", "FP", "FPI", "PPF"])
def test_of_one_moment_the_worse_decides(text: str) -> None:
    """Whatever their ids are, which are hashes."""
    seen = [replace(one, observed_at=_NOON) for one in observations(text)]
    for given in (seen, seen[::-1]):
        decides = deciding_observation(given, "latest")
        assert decides is not None
        assert decides.verdict is Verdict.FAIL
