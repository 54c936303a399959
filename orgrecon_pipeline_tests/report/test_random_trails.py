"""Random trails are sound; a removed or forged report in one becomes a finding."""

from __future__ import annotations

import random
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from orgrecon_pipeline.domain.canonical import sha256_of
from orgrecon_pipeline.domain.evidence import Observation, Provenance, Verdict
from orgrecon_pipeline.domain.gate.decision import decide_gate
from orgrecon_pipeline.domain.gate.state import GateState
from orgrecon_pipeline.domain.mapping.model import GatePolicy
from orgrecon_pipeline.report.write import write_report
from orgrecon_pipeline_tests.support.default_identity import verify_trail
from orgrecon_pipeline_tests.support.report.cases import COMPARED, DAY, History, disagreements_of, forged, observation
from orgrecon_pipeline_tests.support.schemas import require_valid


def random_history(chance: random.Random) -> History:
    history, digests = History(), [sha256_of("one"), sha256_of("two")]
    simulated, digest = chance.random() < 0.1, digests[0]
    gate = {"window_days": chance.choice((2, 3, 7, 9)), "same_day": chance.choice(("latest", "worst")),
            "min_live_days": chance.choice((0, 0, 2))}
    compared = {**COMPARED, "gate": gate}
    for back in range(chance.randint(1, 24)):
        if chance.random() < 0.1:
            continue
        digest = chance.choice(digests) if chance.random() < 0.1 else digest
        for hour in sorted(chance.sample(range(24), chance.choice((1, 1, 1, 2, 3)))):
            kinds = (Provenance.LIVE,) * 5 + (Provenance.BASELINE,) * 4 + (Provenance.RESTORED,)
            provenance = Provenance.SIMULATED if simulated else chance.choice(kinds)
            verdicts = [Verdict.PASS] * 8 + [Verdict.FAIL, Verdict.INCONCLUSIVE]
            verdict = Verdict.PASS if provenance is Provenance.BASELINE else chance.choice(verdicts)
            history.add(observation(
                DAY - timedelta(days=back), verdict, provenance, hour=hour, mapping_digest=digest,
                tenants=chance.choice((0, 12)) if verdict is Verdict.PASS else 12,
                compared=compared,
            ).model_copy(update={"compared": compared}))
    for observations in history.by_day.values():
        unique = {item.id: item for item in observations if isinstance(item, Observation)}
        observations[:] = unique.values()
    return history


@pytest.mark.parametrize("seed", range(60))
def test_random_trail_is_sound_until_a_report_is_removed(seed: int) -> None:
    """A whole trail is sound, one that lacks a report of a later window is not, and no removal opens the gate."""
    chance = random.Random(seed)
    history = random_history(chance)
    if not history.by_day:
        return
    records = {day: history.record(day) for day in sorted(history.by_day)}
    assert disagreements_of(records) == []
    require_valid("record", records[max(records)].as_json_value())

    days = sorted(records)
    for removed in days[1:]:
        left = {day: record for day, record in records.items() if day != removed}
        if any(removed < day <= removed + timedelta(days=6) for day in left):
            assert any(not found.outdated for found in disagreements_of(left))

    for first in days[1:]:
        left = {day: record for day, record in records.items() if day >= first}
        policy = GatePolicy.model_validate(records[first].compared["gate"])
        known = {day: record.to_evidence() for day, record in left.items()}
        for day, record in left.items():
            opens = decide_gate(day, known, policy).state is GateState.OPEN
            if opens and record.gate.state is GateState.CLOSED:
                assert any(not found.outdated for found in disagreements_of(left))


@pytest.mark.parametrize("seed", range(30))
def test_random_forgery_is_a_finding(seed: int, tmp_path: Path) -> None:
    """One report of a whole trail shows a gate or a window that its days do not support."""
    chance = random.Random(seed)
    history = random_history(chance)
    records = {day: history.record(day) for day in history.by_day}
    if not records:
        return
    day = chance.choice(sorted(records))
    record = records[day]
    gate = record.as_json_value()["gate"]
    changes: dict[str, Any] = chance.choice([
        {"streak_days": record.streak_days + 1},
        {"gate": {**gate, "state": "OPEN" if gate["state"] == "CLOSED" else "CLOSED"}},
        {"gate": {**gate, "earliest_open_day": str(record.gate.earliest_open_day + timedelta(days=1))}},
        {"window": [*record.as_json_value()["window"][:-1],
                    {**record.as_json_value()["window"][-1], "eligible": not record.window[-1].eligible}]},
        {"window": [{**record.as_json_value()["window"][0], "verdict": "FAIL", "provenance": "live", "missing": 1,
                     "unexpected": 0, "mismatched": 0, "duplicate": 0, "eligible": False},
                    *record.as_json_value()["window"][1:]]},
    ])
    for other in records.values():
        write_report(tmp_path, other)
    assert verify_trail(tmp_path).findings == ()
    write_report(tmp_path, forged(record, **changes))
    before_the_trail = "window" in changes and record.window[0].day < min(records)
    assert verify_trail(tmp_path).findings or before_the_trail
