"""Evidence that the ledger cannot store is refused as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from orgrecon_pipeline.domain.coverage import CoverageChange, CoverageEvent, CoverageSubject
from orgrecon_pipeline.domain.errors import EvidenceNotStored
from orgrecon_pipeline.domain.evidence import Observation, Sample, TenantRow
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline_tests.support.ledger.cases import contents, full, observation, tenant_row, totals


def full_with_text(field: str, text: str) -> tuple[Observation, list[TenantRow], list[Sample], list[CoverageEvent]]:
    """Return the arguments of ``append`` with ``text`` in one field."""
    fail, rows, samples, coverage = full("after")
    if field in ("id", "reason"):
        fail = fail.model_copy(update={field: text})
    elif field == "tenant":
        rows.append(tenant_row(text))
    elif field == "entity":
        fail = fail.model_copy(update={"entities": {**fail.entities, text: totals()}})
    elif field in ("compared", "reason_parameters"):
        fail = fail.model_copy(update={field: {"a": [{"b": text}]}})
    elif field == "sample":
        samples.append(samples[0].model_copy(update={"tenant": text}))
    else:
        coverage.append(CoverageEvent(CoverageSubject.TENANT, text, CoverageChange.APPEARED))
    return fail, rows, samples, coverage


@pytest.mark.parametrize("text", ["x\x00y", "\ud800", "\udcff tail"])
def test_append_with_invalid_text_stores_nothing(ledger: Ledger, text: str) -> None:
    ledger.append(*full("before"))
    before = contents(ledger)
    for field in ("id", "reason", "reason_parameters", "tenant", "entity", "compared", "sample", "coverage"):
        with pytest.raises(EvidenceNotStored) as refused:
            ledger.append(*full_with_text(field, text))
        assert "\n" not in str(refused.value)
        assert "tail" not in str(refused.value)
    assert contents(ledger) == before
    assert ledger.append(*full("after")) is True


@pytest.mark.parametrize(("rows", "changes"), [
    ([tenant_row("a", "no such entity")], {}),
    ([tenant_row("a"), tenant_row("a")], {}),
    ([tenant_row("a", missing=2**64)], {}),
    ([], {"tenants_scanned": 2**70}),
    ([], {"entities": {"org_units": totals(2**63)}}),
    ([], {"compared": {"seconds": float("nan")}}),
])
def test_append_of_contradictory_evidence_stores_nothing(
    ledger: Ledger, rows: list[TenantRow], changes: dict[str, Any]
) -> None:
    with pytest.raises(EvidenceNotStored) as refused:
        ledger.append(observation("a").model_copy(update=changes), rows, (), ())
    assert "\n" not in str(refused.value)
    assert ledger.days() == []
    assert ledger.append(observation("a"), (), (), ()) is True


def test_append_passes_on_an_error_of_the_caller(ledger: Ledger) -> None:
    def rows() -> Iterator[TenantRow]:
        yield tenant_row("a")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ledger.append(observation("a"), rows(), (), ())
    assert ledger.days() == []
