"""Facts that are not as described: one line names the first invalid one, and does not quote its value."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orgrecon_pipeline.domain.evidence import Change
from orgrecon_pipeline.domain.facts.compared import ComparedFacts
from orgrecon_pipeline.domain.facts.described import InvalidFacts, parser
from orgrecon_pipeline.domain.facts.reason_parameters import ReasonParameters

PARSERS = {"compared": parser("compared", ComparedFacts), "reason": parser("reason", ReasonParameters),
           "change": parser("change", Change | None)}


@pytest.mark.parametrize(("text", "line"), [
    ('{"source": []}', "compared.source must be an object"),
    ("{x", "compared is not JSON"),
    ("[]", "compared must be an object"),
    ('{"self_test": 1}', "compared.self_test must be a string"),
    ('{"exact": "secret"}', "compared.exact must be true or false"),
    ('{"first_observation": false}', "compared.first_observation must be true"),
    ('{"gave_way": 0}', "compared.gave_way must be at least 1"),
    ('{"rechecks_done": "secret"}', "compared.rechecks_done must be an integer"),
    ('{"rechecks_done": 1.5}', "compared.rechecks_done must be an integer"),
    ('{"seconds": "secret"}', "compared.seconds must be a number"),
    ('{"fingerprints": {"methods": {}}}', "compared.fingerprints.methods must be a list"),
    ('{"fingerprints": {"root": "secret"}}', "compared.fingerprints.root must be a SHA-256 in hexadecimal"),
    ('{"keys": {"units": {"drifting": 1}}}', "compared.keys.units.left_out is missing"),
    ('{"coverage": {"renamed": [["Acme"]]}}', "compared.coverage.renamed.0 has too few items: at least 2"),
    ('{"coverage": {"renamed": [["A", "B", "C"]]}}', "compared.coverage.renamed.0 has too many items: at most 2"),
    ('{"gate": {"window_days": 7, "max_departures": 1}}', "compared.gate.max_departures is an unknown field"),
    ('{"gate": {"same_day": "best"}}', "compared.gate.same_day must be 'latest' or 'worst'"),
    ('{"gate": {"window_days": 367}}', "compared.gate.window_days must be at most 366"),
    ('{"gate": {"window_days": 2, "min_live_days": 3}}',
     "compared.gate: min_live_days is greater than window_days: the gate could never open"),
    ('{"show": {"it\'s \\n": 1}}', "compared.show.it's \\n must be a list"),
    ('{"show": {"\'\\"": 1}}', "compared.show.\\'\" must be a list"),
    *((text, f"compared.{path} must be a finite number") for number in ("NaN", "Infinity", "-Infinity", "1e999")
      for text, path in (
          (f'{{"seconds": {number}}}', "seconds"), (f'{{"future": {number}}}', "future"),
          (f'{{"report": {{"x": [0, {number}]}}}}', "report.x.1"), (f'{{"scan": {{"x": {number}}}}}', "scan.x"),
          (f'{{"evidence": {{"x": {{"y": {number}}}}}}}', "evidence.x.y"),
          (f'{{"shards": {{"eu": {{"source": {{"x": {number}}}}}}}}}', "shards.eu.source.x"))),
])
def test_invalid_fact_of_a_comparison_is_named(text: str, line: str) -> None:
    assert refusal("compared", text) == line


@pytest.mark.parametrize(("parameters", "line"), [
    ({"day": "secret"}, "reason.day must be a day as in 2026-01-31"),
    ({"day": "20260131"}, "reason.day must be a day as in 2026-01-31"),
    ({"days": ["2026-01-31", "2026-02-30"]}, "reason.days.1 must be a day as in 2026-01-31"),
    ({"observed": None}, "reason.observed must be an integer or a string"),
    ({"at_hand": [1]}, "reason.at_hand must be an integer or a string"),
    ({"also": {"reason_code": "secret", "reason_parameters": {}}}, "reason.also.reason_code is no known value"),
    ({"max_departures": float("nan")}, "reason.max_departures must be a finite number"),
])
def test_invalid_parameter_of_a_reason_is_named(parameters: dict[str, Any], line: str) -> None:
    assert refusal("reason", json.dumps(parameters)) == line


@pytest.mark.parametrize(("change", "line"), [
    ({"since": "secret", "entities": {}}, "change.since must be a day as in 2026-01-31"),
    ({"since": None, "observation": None, "skipped": [], "entities": {"units": {}}, "oldest": {}},
     "change.entities.units must have the drift kinds missing, unexpected, mismatched, duplicate"),
])
def test_invalid_change_is_named(change: dict[str, Any], line: str) -> None:
    assert refusal("change", json.dumps(change)) == line


def refusal(name: str, text: str) -> str:
    """Return why facts are refused."""
    with pytest.raises(InvalidFacts) as caught:
        PARSERS[name]("2026-01-31", text)
    return str(caught.value).removeprefix("2026-01-31: ")
