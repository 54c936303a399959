"""The records of the golden reports agree with their schema, and no mutated record does."""

from __future__ import annotations

from pathlib import Path

import pytest

from orgrecon_pipeline_tests.support.schemas import mutations, published, record_in

GOLDEN = sorted((Path(__file__).parents[1] / "golden").glob("*.md"))
RECORDS = {path.stem: record_in(path.read_text("utf-8")) for path in GOLDEN}


@pytest.mark.parametrize("name", RECORDS)
def test_golden_record_agrees_with_its_schema(name: str) -> None:
    assert [error.message for error in published("record").iter_errors(RECORDS[name])] == []


@pytest.mark.parametrize("name", ["baseline", "fail_with_samples", "narrower_mapping"])
def test_mutated_record_is_refused(name: str) -> None:
    validator = published("record")
    assert [mutation for mutation, document in mutations(RECORDS[name]) if validator.is_valid(document)] == []
