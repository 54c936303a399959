"""A ledger that is away during a comparison: the comparison is made once and stored once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orgrecon_pipeline.domain.errors import LedgerUnavailable
from orgrecon_pipeline.domain.evidence import Verdict
from orgrecon_pipeline.ledger.connection.retry import RetryBudget, retry_budget
from orgrecon_pipeline_tests.support.default_identity import open_ledger
from orgrecon_pipeline_tests.support.operations.site import Site, open_site
from orgrecon_pipeline_tests.support.postgres.cutting_proxy import CuttingProxy, cutting_proxy

LOSE_A_ROW = "DELETE FROM public.org_unit_memberships WHERE ctid = (SELECT min(ctid) FROM public.org_unit_memberships)"


@pytest.fixture
def proxy(new_database: Callable[..., str], ledger_template: str) -> Iterator[CuttingProxy]:
    """A proxy before an empty ledger."""
    with cutting_proxy(new_database(ledger_template)) as running:
        yield running


@pytest.fixture
def site(seeded_database: str, connect: Callable[[str], psycopg.Connection[Any]], tmp_path: Path) -> Site:
    """A site with twelve small tenants without drift."""
    return open_site(connect(seeded_database), seeded_database, tmp_path)


def wait_with(site: Site, proxy: CuttingProxy, sleep: Callable[[float], object], seconds: float = 1) -> None:
    """Let the site use the ledger behind the proxy, and wait for it with ``sleep``, without limit."""
    with retry_budget(RetryBudget(seconds, sleep=sleep, now=lambda: 0)):
        site.ledger = open_ledger(proxy.url)


@pytest.mark.parametrize("fault", [None, LOSE_A_ROW])
@pytest.mark.parametrize("phase", ["preflight checks passed", "fingerprints", "org_unit_memberships"])
def test_ledger_away_since_any_phase_gets_the_one_comparison(
    site: Site, proxy: CuttingProxy, phase: str, fault: str | None
) -> None:
    if fault:
        site.run(fault)
    wait_with(site, proxy, proxy.up)
    lines: list[str] = []

    def progress(line: str) -> None:
        lines.append(line)
        if phase in line:
            proxy.down()

    stored = site.observe(progress=progress)
    assert any(phase in line for line in lines)
    assert stored.verdict is (Verdict.FAIL if fault else Verdict.PASS)
    assert site.ledger.observations(stored.day) == [stored]
    assert len(list(site.ledger.keys(stored))) == (1 if fault else 0)
    assert len([line for line in lines if "preflight checks passed" in line]) == 1, "it was compared once"


def test_ledger_away_for_longer_than_the_limit_is_reported_and_nothing_is_stored(
    site: Site, proxy: CuttingProxy
) -> None:
    with retry_budget(RetryBudget(0.01)):
        site.ledger = open_ledger(proxy.url)

    def progress(line: str) -> None:
        if "fingerprints" in line:
            proxy.down()

    with pytest.raises(LedgerUnavailable, match=r"gave up after 0\.01 s \(scan\.deadline_seconds\)\.$"):
        site.observe(progress=progress)
    proxy.up()
    assert open_ledger(proxy.url).days() == []
