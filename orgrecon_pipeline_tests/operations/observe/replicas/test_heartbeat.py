"""The heartbeat that the mapping may name: what it shows of a copy's age, and what is no heartbeat at all."""

from __future__ import annotations

from typing import Any

import pytest

from orgrecon_pipeline.domain.evidence import Verdict
from orgrecon_pipeline.domain.mapping import Heartbeat, MappingConfig
from orgrecon_pipeline.operations.doctor import diagnose
from orgrecon_pipeline.postgres.replica import Standby
from orgrecon_pipeline_tests.support.operations.site import READER, Site, quick

TABLE = ("CREATE TABLE public.heartbeat (updated_at timestamptz)", f"GRANT SELECT ON public.heartbeat TO {READER}")
A_BEAT = "INSERT INTO public.heartbeat VALUES (now())"


def with_heartbeat(heartbeat: dict[str, str] | None = None, **scan: Any) -> MappingConfig:
    named = heartbeat or {"from": "public.heartbeat", "at": "updated_at"}
    return quick(heartbeat=Heartbeat.model_validate(named), **scan)


def test_fresh_heartbeat_passes(site: Site) -> None:
    """Of several rows the latest counts, the comparison is the same one, and the record shows the age."""
    site.run(*TABLE, "INSERT INTO public.heartbeat VALUES (now() - interval '1 day'), (NULL)", A_BEAT)
    before = site.observe()
    site.mapping = with_heartbeat()
    after = site.observe()
    assert after.verdict is Verdict.PASS, after.reason
    assert 0 <= after.compared["source"]["heartbeat"]["age_seconds"] <= 60
    assert after.mapping_digest == before.mapping_digest, "it is no new epoch"
    assert "heartbeat" not in before.compared["source"]
    assert "heartbeat" not in before.compared["scan"]
    assert after.compared["scan"]["heartbeat"] == {"from": "public.heartbeat", "at": "updated_at"}
    found = {finding.topic: finding.level for finding in diagnose(site.context).findings}
    assert found["heartbeat"] == "ok"


@pytest.mark.parametrize(("statement", "heartbeat", "words"), [
    ("INSERT INTO public.heartbeat VALUES (now() - interval '1 hour')", None, "heartbeat is 3600 s old, more than"),
    ("INSERT INTO public.heartbeat VALUES (now() + interval '1 hour')", None, "later than this clock"),
    ("INSERT INTO public.heartbeat VALUES ('infinity')", None, "later than this clock"),
    ("INSERT INTO public.heartbeat VALUES ('-infinity')", None, "inf s old"),
    ("INSERT INTO public.heartbeat VALUES (NULL)", None, "the snapshot holds no heartbeat"),
    ("TRUNCATE public.heartbeat", None, "the snapshot holds no heartbeat"),
    (A_BEAT, {"from": "public.heartbeat", "at": "updated_at", "where": "false"}, "the snapshot holds no heartbeat"),
    ("DROP TABLE public.heartbeat", None, "scan.heartbeat: a table does not exist"),
    ("ALTER TABLE public.heartbeat RENAME updated_at TO at", None, "scan.heartbeat: a column does not exist"),
    (A_BEAT, {"from": "heartbeat", "at": "updated_at"}, "so write schema.table"),
    (A_BEAT, {"from": "public.heartbeat", "at": "updated_at::timestamp"}, "at is timestamp without time zone"),
    (A_BEAT, {"from": "public.heartbeat", "at": "updated_at::text"}, "cast the column in the mapping"),
    (f"REVOKE SELECT ON public.heartbeat FROM {READER}", None, "scan.heartbeat: permission is refused"),
    ("ALTER TABLE public.heartbeat ENABLE ROW LEVEL SECURITY", None, "row-level security"),
])
def test_old_or_invalid_heartbeat_is_inconclusive(site: Site, statement: str, heartbeat: dict[str, str] | None, words: str) -> None:
    site.run(*TABLE, statement)
    site.mapping = with_heartbeat(heartbeat)
    after = site.observe()
    assert after.verdict is Verdict.INCONCLUSIVE, after.reason
    assert words in after.reason, after.reason
    diagnosis = diagnose(site.context)
    assert not diagnosis.ready
    assert words in diagnosis.findings[-1].text or any(words in f.text for f in diagnosis.findings)
    assert site.ledger.observations(after.day) == [after]


@pytest.mark.parametrize(("age", "caught_up", "words"), [
    (1.0, None, ""), (-1.0, None, ""), (7200.0, 1.0, ""), (-7200.0, 1.0, ""), (None, 1.0, ""),
    (7200.0, None, "7200 s old"), (7200.0, 7200.0, "7200 s old"), (None, None, "nothing has been replayed"),
    (-7200.0, None, "7200 s later than its clock"),
])
def test_standby_lag_ignores_a_primary_clock_that_is_ahead(
    age: float | None, caught_up: float | None, words: str
) -> None:
    told = Standby(None, "0/1", "0/1", age, False, False, True, caught_up).lag(60.0)
    assert words in told
    assert bool(told) is bool(words)


def test_heartbeat_too_old_at_a_recheck_is_inconclusive(site: Site) -> None:
    """A copy that stands still shows a lag for ever."""
    site.run(*TABLE, A_BEAT, "DELETE FROM public.team_members WHERE ctid = (SELECT min(ctid) FROM public.team_members)")
    site.mapping = with_heartbeat()
    after = site.observe(wait=lambda seconds: site.run(
        "UPDATE public.heartbeat SET updated_at = updated_at - interval '1 hour'"))
    assert after.verdict is Verdict.INCONCLUSIVE
    assert "the heartbeat is 3600 s old" in after.reason
    assert site.observe().verdict is Verdict.INCONCLUSIVE
    site.run("DELETE FROM public.heartbeat", A_BEAT)
    assert site.observe().verdict is Verdict.FAIL
