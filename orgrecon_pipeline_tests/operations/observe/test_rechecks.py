"""Rechecks: writes during the comparison are transient, and later writes never hide a lost write."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from orgrecon_pipeline.domain.evidence import Observation, Verdict
from orgrecon_pipeline_tests.support.operations.site import Site, fast_mapping

ONE = ("(tenant_id, id) = (SELECT tenant_id, id FROM public.teams WHERE deleted_at IS NULL "
       "ORDER BY tenant_id, id DESC LIMIT 1)")  # not the root unit: it must have a parent
ITS_UNIT = ONE.replace("(tenant_id, id) =", "(tenant_id, legacy_id) =")


def legacy(change: str) -> str:
    return f"UPDATE public.teams SET {change} WHERE {ONE}"


def v23(change: str) -> str:
    return f"UPDATE public.org_units SET {change} WHERE {ITS_UNIT}"


def scripted(site: Site, *waits: Sequence[str]) -> tuple[Callable[[float], None], list[float]]:
    """Return a ``wait`` that runs the next statements instead of waiting, and repeats the last ones."""
    waited: list[float] = []

    def wait(seconds: float) -> None:
        site.run(*waits[min(len(waited), len(waits) - 1)])
        waited.append(seconds)

    return wait, waited


def transient(observation: Observation) -> int:
    return sum(totals.transient or 0 for totals in observation.entities.values())


LOST = legacy("name = 'lost on the other side'")
# Writing another column of the key on both sides does not repair the lost write.
ANOTHER_COLUMN = (legacy("parent_team_id = NULL"), v23("parent_id = NULL"))
EVERY_TIME = (legacy("name = name || '+'"), v23("name = name || '+'"))


@pytest.mark.parametrize("rechecks", [1, 3])
def test_lost_write_followed_by_a_write_of_another_column_fails(site: Site, rechecks: int) -> None:
    site.mapping = fast_mapping(rechecks=rechecks)
    site.run(LOST)
    wait, waited = scripted(site, ANOTHER_COLUMN, ())
    after = site.observe(wait=wait)
    assert (after.verdict, after.entities["org_units"].mismatched) == (Verdict.FAIL, 1), after.reason
    assert len(waited) == 2 * rechecks, "the key needs a second round of rechecks"
    assert [(s.kind, s.columns) for s in site.ledger.samples(after.id)] == [("mismatched", ("name",))]
    assert transient(after) == 0


@pytest.mark.parametrize("rechecks", [1, 2])
def test_lost_write_under_endless_writes_is_inconclusive(site: Site, rechecks: int) -> None:
    """No number of reads distinguishes the loss from a lag, so it is neither FAIL nor PASS."""
    site.mapping = fast_mapping(rechecks=rechecks)
    site.run(LOST)
    after = site.observe(wait=scripted(site, EVERY_TIME)[0])
    assert after.verdict is Verdict.INCONCLUSIVE
    assert "1 key differed at every read while both sides were being written" in after.reason
    assert after.compared["keys_in_flux"] == 1
    assert transient(after) == 0


def test_other_drift_beside_keys_in_flux_fails(site: Site) -> None:
    site.run(LOST, "DELETE FROM public.team_members WHERE ctid = (SELECT min(ctid) FROM public.team_members)")
    after = site.observe(wait=scripted(site, EVERY_TIME)[0])
    assert (after.verdict, after.entities["org_units"].mismatched) == (Verdict.FAIL, 0)
    assert after.entities["org_unit_memberships"].unexpected == 1


def test_lag_on_a_repeatedly_written_key_is_transient(site: Site) -> None:
    site.mapping = fast_mapping(rechecks=2)
    site.run(legacy("name = '1'"))
    wait, waited = scripted(
        site, (v23("name = '1'"), legacy("name = '2'")), (v23("name = '2'"), legacy("name = '3'")), (v23("name = '3'"),)
    )
    after = site.observe(wait=wait)
    assert (after.verdict, transient(after)) == (Verdict.PASS, 1), after.reason
    assert len(waited) == 3


ADD, REMOVE = "add", "remove"


def member(side: str, what: str) -> str:
    """Return the statement that adds or removes one membership on one side."""
    unit = "SELECT tenant_id, id, legacy_id FROM public.org_units WHERE deleted_at IS NULL ORDER BY 1, 3 LIMIT 1"
    user = "'00000000-0000-4000-8000-000000000001'::uuid"
    if side == "legacy":
        add = f"INSERT INTO public.team_members SELECT tenant_id, legacy_id, {user}, 'member' FROM ({unit}) u"
        return add if what == ADD else f"DELETE FROM public.team_members WHERE user_id = {user}"
    add = f"INSERT INTO public.org_unit_memberships SELECT tenant_id, id, {user}, 'member' FROM ({unit}) u"
    return add if what == ADD else f"DELETE FROM public.org_unit_memberships WHERE user_id = {user}"


@pytest.mark.parametrize("compare", [True, False], ids=["with_a_role", "presence_only"])
def test_membership_added_and_removed_behind_a_lag_is_transient(site: Site, compare: bool) -> None:
    if not compare:
        entity = site.mapping.entities["org_unit_memberships"].model_copy(update={"compare": ()})
        site.mapping = site.mapping.model_copy(update={
            "entities": {**site.mapping.entities, "org_unit_memberships": entity}})
    site.run(member("legacy", ADD))  # missing in v2.3 …
    wait, _ = scripted(
        site, (member("v2.3", ADD), member("legacy", REMOVE)),  # … then unexpected there …
        (member("v2.3", REMOVE),))  # … and gone
    after = site.observe(wait=wait)
    assert (after.verdict, transient(after)) == (Verdict.PASS, 1), after.reason


def test_lost_write_without_further_writes_fails_after_one_round(site: Site) -> None:
    site.mapping = fast_mapping(rechecks=3)
    site.run(LOST)
    wait, waited = scripted(site, ())
    after = site.observe(wait=wait)
    assert (after.verdict, after.entities["org_units"].mismatched, len(waited)) == (Verdict.FAIL, 1, 3)


@pytest.mark.parametrize(("emptied", "side"), [("teams", "source"), ("org_units", "target")])
def test_side_emptied_between_reads_is_inconclusive(site: Site, emptied: str, side: str) -> None:
    """If the other side loses all rows too, the missing rows seem to be transient, but other rows drift now."""
    kept = "org_units" if emptied == "teams" else "teams"
    site.run(f"DELETE FROM public.{kept} WHERE {ITS_UNIT if kept == 'org_units' else ONE}")
    wait, _ = scripted(site, (f"TRUNCATE public.{emptied} CASCADE",))
    after = site.observe(wait=wait)
    assert after.verdict is Verdict.INCONCLUSIVE, after.reason
    assert f"org_units: the {side} lost every row during the comparison" in after.reason
