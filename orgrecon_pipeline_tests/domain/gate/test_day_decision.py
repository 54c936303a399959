"""The deciding observation of a day: one character per observation, in the order of the ledger."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from orgrecon_pipeline.domain.evidence import Provenance, Verdict
from orgrecon_pipeline.domain.gate.day_decision import deciding_observation
from orgrecon_pipeline.domain.reasons import ReasonCode

_NOON = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
_MEANING = {
    "P": (Provenance.LIVE, Verdict.PASS), "F": (Provenance.LIVE, Verdict.FAIL),
    "I": (Provenance.LIVE, Verdict.INCONCLUSIVE), "b": (Provenance.BASELINE, Verdict.PASS),
    "s": (Provenance.SIMULATED, Verdict.PASS), "r": (Provenance.RESTORED, Verdict.FAIL),
    "m": (Provenance.LIVE, Verdict.PASS),  # under another mapping
    "d": (Provenance.LIVE, Verdict.PASS),  # on another database
    "f": (Provenance.LIVE, Verdict.FAIL),  # under another mapping
    "c": (Provenance.LIVE, Verdict.PASS),  # under that other mapping
    "C": (Provenance.LIVE, Verdict.PASS),  # again
    "a": (Provenance.LIVE, Verdict.PASS),  # by an acknowledgement of lost coverage
    "L": (Provenance.LIVE, Verdict.INCONCLUSIVE),  # complete, but coverage is lost
}


@dataclass(frozen=True)
class Item:
    id: str
    provenance: Provenance
    verdict: Verdict
    observed_at: datetime | None
    mapping_digest: str
    reason_code: ReasonCode
    compared: dict[str, Any]


def observations(text: str) -> list[Item]:
    return [
        Item(
            str(number), *_MEANING[letter], None if letter == "b" else _NOON + timedelta(minutes=number),
            mapping_digest="other" if letter in "mfcC" else "epoch",
            reason_code=ReasonCode.COVERAGE_LOST if letter == "L" else ReasonCode.UNKNOWN,
            compared={
                "source": {"system_identifier": "1", "database": "copy" if letter == "d" else "app"},
                "coverage": {"acknowledged": ["tenant acme"] if letter == "a" else []},
            },
        )
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
    # A FAIL is improved neither by another mapping, nor by another database, nor by an acknowledgement.
    ("Fm", 0, 0),
    ("Fd", 0, 0),
    ("Fa", 0, 0),
    ("FmP", 2, 0),
    ("FPm", 2, 0),     # the PASS had displaced it before
    ("FPd", 2, 0),
    ("FImd", 0, 0),
    ("Pm", 1, 1),
    ("mF", 1, 1),
    # Coverage that is lost after a PASS displaces it, until the rows come back or a person acknowledges the loss.
    ("PL", 1, 1),
    ("PLa", 2, 2),
    ("PLm", 1, 1),
    ("PLd", 1, 1),
    ("PLP", 2, 2),
    ("PLIa", 3, 3),
    ("PLF", 2, 2),
    ("FL", 0, 0),
    ("PLaP", 3, 3),
    # An acknowledgement excuses no drift, and a second rerun no longer shows what was acknowledged.
    ("FaP", 0, 0),
    ("FLaP", 0, 0),
    ("PFLaPP", 1, 1),
    ("La", 1, 1),      # nothing was decided before the loss
    ("LaP", 2, 2),
    # A FAIL stays open behind another FAIL: what it showed has to be good again.
    ("FfcC", 0, 1),
    ("FfcP", 3, 1),
    ("FffP", 2, 2),
    ("LLa", 2, 2),
    ("LPa", 2, 2),
])
def test_deciding_observation_follows_the_same_day_rule(text: str, latest: int, worst: int) -> None:
    items = observations(text)
    assert deciding_observation(items, "latest") is items[latest]
    assert deciding_observation(items, "worst") is items[worst]


@pytest.mark.parametrize(("text", "decides"), [
    ("PF", 1), ("FP", 0), ("PP", 1), ("PL", 1), ("LP", 0), ("FF", 1), ("FPP", 0), ("PPF", 2),
])
def test_clock_that_was_set_back_lets_the_worse_observation_decide(text: str, decides: int) -> None:
    """Each later observation of the ledger has an earlier timestamp."""
    items = [replace(item, observed_at=_NOON - timedelta(minutes=number))
             for number, item in enumerate(observations(text))]
    assert deciding_observation(items, "latest") is items[decides]


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
