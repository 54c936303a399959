"""What the ledger does not take, it leaves out whole."""

from __future__ import annotations

import pytest

from orgrecon_pipeline.domain.coverage import CoverageChange, CoverageEvent, CoverageSubject
from orgrecon_pipeline.domain.errors import EvidenceNotKept
from orgrecon_pipeline.domain.evidence import Observation, Sample, TenantRow
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline_tests.support.ledger.cases import full, holdings, observation, tenant_row, totals


def spoilt(place: str, text: str) -> tuple[Observation, list[TenantRow], list[Sample], list[CoverageEvent]]:
    observed, rows, samples, coverage = full("after")
    if place in ("id", "reason"):
        observed = observed.model_copy(update={place: text})
    elif place == "tenant":
        rows.append(tenant_row(text))
    elif place == "entity":
        observed = observed.model_copy(update={"entities": {**observed.entities, text: totals()}})
    elif place == "compared":
        observed = observed.model_copy(update={"compared": {"a": [{"b": text}]}})
    elif place == "sample":
        samples.append(samples[0].model_copy(update={"tenant": text}))
    else:
        coverage.append(CoverageEvent(CoverageSubject.TENANT, text, CoverageChange.APPEARED))
    return observed, rows, samples, coverage


@pytest.mark.parametrize("text", ["x\x00y", "\ud800", "\udcff tail"])
def test_what_is_no_text_is_refused_whole(ledger: Ledger, text: str) -> None:
    ledger.append(*full("before"))
    before = holdings(ledger)
    for place in ("id", "reason", "tenant", "entity", "compared", "sample", "coverage"):
        with pytest.raises(EvidenceNotKept) as refused:
            ledger.append(*spoilt(place, text))
        assert "\n" not in str(refused.value)
        assert "tail" not in str(refused.value)
    assert holdings(ledger) == before
    assert ledger.append(*full("after")) is True


@pytest.mark.parametrize(("rows", "changes"), [
    ([tenant_row("a", "no such entity")], {}),
    ([tenant_row("a"), tenant_row("a")], {}),
    ([tenant_row("a", missing=2**64)], {}),
    ([], {"tenants_scanned": 2**70}),
    ([], {"entities": {"org_units": totals(2**63)}}),
    ([], {"compared": {"seconds": float("nan")}}),
])
def test_what_contradicts_itself_is_refused_whole(ledger: Ledger, rows: list, changes: dict) -> None:  # type: ignore[type-arg]
    with pytest.raises(EvidenceNotKept) as refused:
        ledger.append(observation("a").model_copy(update=changes), rows, (), ())
    assert "\n" not in str(refused.value)
    assert ledger.days() == []
    assert ledger.append(observation("a"), (), (), ()) is True


def test_an_error_of_the_caller_is_the_callers(ledger: Ledger) -> None:
    def rows():  # type: ignore[no-untyped-def]
        yield tenant_row("a")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ledger.append(observation("a"), rows(), (), ())
    assert ledger.days() == []
