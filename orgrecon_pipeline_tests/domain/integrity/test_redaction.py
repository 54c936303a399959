"""What a redaction replaces in texts and JSON, and what only looks like the name."""

from __future__ import annotations

from typing import Any

import pytest

from orgrecon_pipeline.domain import reasons
from orgrecon_pipeline.domain.integrity.redaction import Redactor, is_pseudonym, name_hash

NAMES = ["acme", "7", "latest", "tenant", "o'neil", 'a "b"', "Ärger", "\\", "", "tenant acme", "x" * 200]


@pytest.fixture(params=NAMES)
def redactor(request: pytest.FixtureRequest) -> Redactor:
    return Redactor.of(request.param, b"secret")


def test_pseudonym_is_recognised_and_depends_on_the_secret(redactor: Redactor) -> None:
    assert is_pseudonym(redactor.pseudonym)
    assert Redactor.of(redactor.name, b"another secret").pseudonym != redactor.pseudonym
    assert redactor.key_value("1") != redactor.key_value("2")
    assert redactor.key_value(redactor.name) != redactor.pseudonym


def test_reason_names_the_pseudonym_and_keeps_its_figures(redactor: Redactor) -> None:
    """A number can be a name, and must not be replaced where it is a number of keys."""
    def drift_of(name: str) -> reasons.Reason:
        lost = reasons.coverage_lost([f"tenant {name!a}", "tenant 'other'"], 2, None)
        return reasons.drift(7, 7, 77, lost)

    before, expected = drift_of(redactor.name), drift_of(redactor.pseudonym)
    assert redactor.sentence(before.sentence) == expected.sentence
    assert redactor.parameters(before.parameters) == expected.parameters


def test_other_names_and_settings_of_a_comparison_stay(redactor: Redactor) -> None:
    def compared(name: str) -> dict[str, Any]:
        return {
            "gate": {"same_day": "latest", "window_days": 7}, "values": {"acme": {"7": 7}},
            "coverage": {"lost": [f"tenant {name}", "entity acme_units"], "lost_count": 2, "left": [name, "other"],
                         "acknowledged": ["column tenant.acme"], "renamed": [[name, "Other"]], "left_too_many": False}}

    assert redactor.compared(compared(redactor.name)) == compared(redactor.pseudonym)


def test_sample_of_another_tenant_stays(redactor: Redactor) -> None:
    sample = {"tenant": "other", "key": {"id": redactor.name}, "values": {"name": ["a", "b"]}, "show": None}
    assert redactor.sample(sample) == sample
    own = redactor.sample({**sample, "tenant": redactor.name})
    assert (own["tenant"], own["values"], is_pseudonym(own["key"]["id"])) == (redactor.pseudonym, None, True)


@pytest.mark.parametrize(("text", "expected"), [
    ("acme left", "{} left"), ("Acme's contract (ACME) ended", "{}'s contract ({}) ended"),
    ("acmeworks stays", "acmeworks stays"), ("see acme.example", "see {}.example"),
])
def test_typed_reason_is_searched_for_the_word(text: str, expected: str) -> None:
    redactor = Redactor.of("acme", b"secret")
    assert redactor.words(text) == expected.format(*[redactor.pseudonym] * 2)


def test_hash_of_a_name_depends_on_the_ledger() -> None:
    assert name_hash("acme", "a" * 16) == name_hash("acme", "a" * 16)
    assert len({name_hash("acme", "a" * 16), name_hash("acme", "b" * 16), name_hash("acm", "a" * 16)}) == 3
