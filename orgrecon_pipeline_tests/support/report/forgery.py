"""Trails of every kind of record, and forged records in them, as a forger who knows the program would make them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import date, timedelta
from itertools import islice
from typing import Any

from orgrecon_pipeline.domain import reasons
from orgrecon_pipeline.domain.canonical import sha256_of_text
from orgrecon_pipeline.domain.drift.key import KeyState
from orgrecon_pipeline.domain.drift.kinds import DriftKind
from orgrecon_pipeline.domain.evidence import Sample, Verdict
from orgrecon_pipeline.domain.gate.day_decision import conditions_of
from orgrecon_pipeline.domain.reasons import Reason, ReasonCode
from orgrecon_pipeline.domain.record import Record
from orgrecon_pipeline.operations.gate.sources import GateEvidence
from orgrecon_pipeline.operations.gate.tenants import TenantGates
from orgrecon_pipeline.operations.history import history_of
from orgrecon_pipeline.report.checks.record import _REPEATED
from orgrecon_pipeline_tests.support.mutations import At, json_text, mutations
from orgrecon_pipeline_tests.support.report.cases import (
    COMPARED,
    DAY,
    SIDE,
    History,
    golden_cases,
    observation,
    ready_tenants,
    row,
    totals,
)

#: A record by its day.
Records = dict[date, Record]

_EARLIER, _YESTERDAY = DAY - timedelta(days=2), DAY - timedelta(days=1)
_SHORT = {**COMPARED, "gate": {**COMPARED["gate"], "window_days": 2}}
_FINGERPRINTS = {"root": "0" * 64, "methods": ["native"], "seed": "1", "probe": "2 UTF8", "tenants": 12}
_STANDBY = {"replayed_at": "2026-11-23T08:00:00.000000Z", "replay_lsn": "0/2000000", "receive_lsn": "0/2000000",
            "replayed_age_seconds": 0.5, "caught_up_seconds": 0.1}
_DATABASE = {**SIDE, "citus": "13.0", "lsn": "0/2000000", "timeline": 1, "standby": _STANDBY,
             "heartbeat": {"age_seconds": 0.5}}
_WITHOUT_SIDES = {name: fact for name, fact in _SHORT.items() if name not in ("source", "target")}

#: A comparison of two shards with every fact that there is.
_FULL: dict[str, Any] = {
    **_WITHOUT_SIDES,
    "coverage": {**COMPARED["coverage"], "renamed": [["Acme", "acme"]], "acknowledged": ["tenant initech"]},
    "evidence": {"portable": False}, "show": {"org_units": ["updated_at"]}, "fingerprints": _FINGERPRINTS,
    "mapping": {"tenants": {"from": "public.tenants", "tenant": "id", "where": None}, "shards": ["eu", "us"],
                "entities": {"org_units": {"key": ["unit_id"], "compare": ["name"], "source": [
                    {"from": "public.teams", "columns": {"tenant_id": "tenant_id"}, "where": None}], "target": []}}},
    "shards": {"eu": {"source": _DATABASE, "target": _DATABASE, "fingerprints": _FINGERPRINTS, "seconds": 1.5,
                      "tenants": 6}, "us": {"source": SIDE, "target": SIDE, "reused_from": "0" * 16}},
    "digest_method": "native", "exact": False, "self_test": "passed", "rechecks_done": 1,
    "seconds": 2.5, "gave_way": 1, "keys_in_flux": 2, "tenants_declared": 12,
    "warnings": [{"code": "depends_on_time", "text": "org_units.source calls now().", "names": ["now"],
                  "subject": "org_units.source", "databases": ["eu"]}],
}
_FIRST = {**_FULL, "first_observation": True}
_DRIFTING = {**_FULL, "keys": {"org_units": {"drifting": 2, "left_out": 0}},
             "mismatched_columns": {"org_units": {"name": 1}}}


def trails() -> dict[str, Records]:
    """Return trails by name: one that is OPEN, others that are CLOSED, and the golden reports."""
    return {
        "clean": _trail(History(observation(day, compared=_FIRST if day == _EARLIER else _FULL)
                                for day in (_EARLIER, _YESTERDAY, DAY))),
        "drifting": _drifting(), "undecided": _undecided(), "moved": _moved(),
        **{name: {DAY: record} for name, record in golden_cases().items() if name != "hostile_names"}}


def _trail(history: History) -> Records:
    return {day: history.record(day, [row("acme"), row("initech", rows=10)]) for day in sorted(history.by_day)}


def _drifting() -> Records:
    """Return a trail whose second day drifts, with everything that a record can say about drift."""
    lost = reasons.coverage_lost(["tenant 'umbrella'"], 1, None)
    history = History([observation(_EARLIER, compared=_FIRST), observation(DAY, compared=_FULL)])
    history.add(observation(
        _YESTERDAY, Verdict.FAIL, compared=_DRIFTING, drifting=1, reason=reasons.drift(2, 1, 12, lost),
        entities={"org_units": totals(24, missing=1, mismatched=1), "org_unit_memberships": totals(480)}))
    sample = Sample(tenant="acme", entity="org_units", kind=DriftKind.MISMATCHED, key={"unit_id": "5"},
                    columns=("name",), values={"name": ("Sales", None)}, show={"updated_at": None},
                    first_seen=_YESTERDAY, state=KeyState.NEW)
    return {**_trail(history), _YESTERDAY: history.record(
        _YESTERDAY, [row("acme", missing=1, mismatched=1, first_seen=_YESTERDAY), row("initech", rows=10)], [sample],
        ready_tenants=ready_tenants(_YESTERDAY, nearest={"hooli": 1}, drifting={"acme": 2}))}


def _undecided() -> Records:
    """Return a trail whose last day was observed twice and is not decided."""
    refused = Reason.word(ReasonCode.PERMISSION_DENIED, "grant SELECT.", detail="grant SELECT", action="locking",
                          sqlstate="42501")
    shards = Reason.word(ReasonCode.SHARDS_UNDECIDED, "shard eu: grant SELECT.", detail="shard eu: grant SELECT",
                         failed=1, shards={"eu": refused.as_parameters()})
    gave_way = Reason.word(ReasonCode.GAVE_WAY, "the comparison gave way.", detail="it gave way", times=3,
                           statement=None, mode="AccessExclusiveLock", table="public.teams")
    history = History(observation(day, compared=_SHORT) for day in (_EARLIER, _YESTERDAY))
    for hour, reason in ((8, gave_way), (9, shards)):
        history.add(observation(DAY, Verdict.INCONCLUSIVE, reason=reason, hour=hour, compared=_SHORT))
    return _trail(history)


def _moved() -> Records:
    """Return a trail whose databases moved twice, on the last day with a person's acceptance."""
    old, lost = ({**SIDE, "system_identifier": number} for number in ("1", "2"))
    pins = {"system_identifier": "1", "database": "app"}
    accepted = {**_SHORT, "moved_from": {"source": pins, "target": pins}}
    return _trail(History([
        observation(_EARLIER, compared={**_SHORT, "source": lost, "target": lost}),
        observation(_YESTERDAY, compared={**_SHORT, "source": old, "target": old}),
        observation(DAY, compared=accepted)]))


def open_gates(evidence: GateEvidence) -> set[str]:
    """Answer from some evidence in every way. Return the tenants whose gates are OPEN; an empty name is the company."""
    json.dumps([evidence.answer.as_json_value(), history_of(evidence, None).as_json_value()])
    gates, names = TenantGates(evidence), ("acme", "initech", "nobody")
    json.dumps(gates.cohort(names).as_json_value())
    tenants = {tenant.tenant for tenant in (*gates.all(), *map(gates.of, names)) if tenant.open}
    return tenants | ({""} if evidence.answer.open else set())


def forgeries(record: Record, every: int) -> Iterator[tuple[str, str]]:
    """Yield what was forged, and the line of the forged record with its new digest; only one of ``every`` forgeries.

    Each forgery is made at one place, and wherever else the record repeats the fact.
    """
    value = record.as_json_value()
    del value["digest"]
    for what, at in islice(mutations(value), 0, None, every):
        forged = json.loads(json_text(value))
        with suppress(Exception):
            _repeat(forged, at)
        yield what, json_text({**forged, "digest": sha256_of_text(json_text(forged))})


def _repeat(value: dict[str, Any], at: At) -> None:
    """Repeat a forged fact of the day wherever else the record has it."""
    [deciding] = [row for row in value["observations"] if row["decides"]]
    last, gate = value["window"][-1], value["gate"]
    if at[0] == "compared":
        deciding["compared"] = conditions_of(value["compared"])
    for name in _REPEATED:
        if at[0] == name:
            deciding[name] = value[name]
        if at[0] in (name, "window") and name in last and (at[0] == "window" or value["verdict"] != "PASS"):
            value[name] = deciding[name] = last[name] = value[name] if at[0] == name else last[name]
    if gate["reason_code"] == "streak_too_short":
        row = next(row for row in value["window"] if row["day"] == gate["reason_parameters"]["day"])
        gate["reason_parameters"] |= {name: row[name] for name in ("verdict", "reason_code", "reason_parameters")}
