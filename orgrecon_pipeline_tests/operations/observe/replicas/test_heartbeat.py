"""Replica lag by ``scan.heartbeat``: fresh, old and invalid heartbeats."""

from __future__ import annotations

import re
from typing import Any

import pytest

from orgrecon_pipeline.domain.evidence import Verdict
from orgrecon_pipeline.domain.mapping.model import Heartbeat, MappingConfig
from orgrecon_pipeline.operations.doctor import diagnose
from orgrecon_pipeline.postgres.replica import Standby
from orgrecon_pipeline_tests.support.operations.site import READER, Site, fast_mapping

TABLE = ("CREATE TABLE public.heartbeat (updated_at timestamptz)", f"GRANT SELECT ON public.heartbeat TO {READER}")
HEARTBEAT = "INSERT INTO public.heartbeat VALUES (now())"


def with_heartbeat(heartbeat: dict[str, str] | None = None, **scan: Any) -> MappingConfig:
    named = heartbeat or {"from": "public.heartbeat", "at": "updated_at"}
    return fast_mapping(heartbeat=Heartbeat.model_validate(named), **scan)


def test_fresh_heartbeat_passes(site: Site) -> None:
    """The latest row counts, the epoch stays the same, and the record shows the age."""
    site.run(*TABLE, "INSERT INTO public.heartbeat VALUES (now() - interval '1 day'), (NULL)", HEARTBEAT)
    before = site.observe()
    site.mapping = with_heartbeat()
    after = site.observe()
    assert after.verdict is Verdict.PASS, after.reason
    assert 0 <= after.compared["source"]["heartbeat"]["age_seconds"] <= 60
    assert after.mapping_digest == before.mapping_digest, "the same epoch"
    assert "heartbeat" not in before.compared["source"]
    assert "heartbeat" not in before.compared["scan"]
    assert after.compared["scan"]["heartbeat"] == {"from": "public.heartbeat", "at": "updated_at"}
    found = {finding.topic: finding.level for finding in diagnose(site.context).findings}
    assert found["heartbeat"] == "ok"


@pytest.mark.parametrize(("statement", "heartbeat", "words"), [
    ("INSERT INTO public.heartbeat VALUES (now() - interval '1 hour')", None, r"heartbeat is 36\d\d s old, more than"),
    ("INSERT INTO public.heartbeat VALUES (now() + interval '1 hour')", None, "ahead of this server's clock"),
    ("INSERT INTO public.heartbeat VALUES ('infinity')", None, "ahead of this server's clock"),
    ("INSERT INTO public.heartbeat VALUES ('-infinity')", None, "inf s old"),
    ("INSERT INTO public.heartbeat VALUES (NULL)", None, "the snapshot contains no heartbeat"),
    ("TRUNCATE public.heartbeat", None, "the snapshot contains no heartbeat"),
    (HEARTBEAT, {"from": "public.heartbeat", "at": "updated_at", "where": "false"},
     "the snapshot contains no heartbeat"),
    ("DROP TABLE public.heartbeat", None, "scan.heartbeat: a table does not exist"),
    ("ALTER TABLE public.heartbeat RENAME updated_at TO at", None, "scan.heartbeat: a column does not exist"),
    (HEARTBEAT, {"from": "heartbeat", "at": "updated_at"}, "so write schema.table"),
    (HEARTBEAT, {"from": "public.heartbeat", "at": "updated_at::timestamp"},
     "at has the type timestamp without time zone"),
    (HEARTBEAT, {"from": "public.heartbeat", "at": "updated_at::text"}, "cast the column in the mapping"),
    (f"REVOKE SELECT ON public.heartbeat FROM {READER}", None, "scan.heartbeat: the role lacks a permission"),
    ("ALTER TABLE public.heartbeat ENABLE ROW LEVEL SECURITY", None, "row-level security"),
])
def test_old_or_invalid_heartbeat_is_inconclusive(
    site: Site, statement: str, heartbeat: dict[str, str] | None, words: str
) -> None:
    site.run(*TABLE, statement)
    site.mapping = with_heartbeat(heartbeat)
    after = site.observe()
    assert after.verdict is Verdict.INCONCLUSIVE, after.reason
    assert re.search(words, after.reason), after.reason
    diagnosis = diagnose(site.context)
    assert not diagnosis.ready
    assert any(re.search(words, finding.text) for finding in diagnosis.findings)
    assert site.ledger.observations(after.day) == [after]


@pytest.mark.parametrize(("age", "caught_up", "words"), [
    (1.0, None, ""), (-1.0, None, ""), (7200.0, 1.0, ""), (-7200.0, 1.0, ""), (None, 1.0, ""),
    (7200.0, None, "7200 s old"), (7200.0, 7200.0, "7200 s old"), (None, None, "it has replayed no transaction"),
    (-7200.0, None, "7200 s ahead of its clock"),
])
def test_standby_lag_ignores_a_primary_clock_that_is_ahead(
    age: float | None, caught_up: float | None, words: str
) -> None:
    lag = Standby(None, "0/1", "0/1", age, False, False, True, caught_up).lag(60.0)
    assert words in lag
    assert bool(lag) is bool(words)


def test_heartbeat_too_old_at_a_recheck_is_inconclusive(site: Site) -> None:
    """A replica whose replay has stopped is not evidence at a recheck."""
    site.run(*TABLE, HEARTBEAT,
             "DELETE FROM public.team_members WHERE ctid = (SELECT min(ctid) FROM public.team_members)")
    site.mapping = with_heartbeat()
    after = site.observe(wait=lambda seconds: site.run(
        "UPDATE public.heartbeat SET updated_at = updated_at - interval '1 hour'"))
    assert after.verdict is Verdict.INCONCLUSIVE
    assert re.search(r"the heartbeat is 36\d\d s old", after.reason), after.reason
    assert site.observe().verdict is Verdict.INCONCLUSIVE
    site.run("DELETE FROM public.heartbeat", HEARTBEAT)
    assert site.observe().verdict is Verdict.FAIL
