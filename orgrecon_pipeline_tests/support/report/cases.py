"""Records for tests of the report, built from observations and the gate as the program builds them."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta, timezone
from typing import Any

from orgrecon_pipeline.config.mapping_file import default_mapping
from orgrecon_pipeline.domain import reasons
from orgrecon_pipeline.domain.canonical import sha256_of
from orgrecon_pipeline.domain.drift.key import KeyState
from orgrecon_pipeline.domain.drift.kinds import Counts, DriftKind
from orgrecon_pipeline.domain.evidence import (
    Change,
    EntityTotals,
    Observation,
    Oldest,
    Provenance,
    Sample,
    SkippedDay,
    StateCounts,
    TenantRow,
    Verdict,
)
from orgrecon_pipeline.domain.gate.day_decision import deciding_observation, gate_policy_of, strictest
from orgrecon_pipeline.domain.gate.decision import DayEvidence, decide_gate
from orgrecon_pipeline.domain.gate.ready_tenants import LISTED_TENANTS, DriftingTenant, ReadyTenants, WaitingTenant
from orgrecon_pipeline.domain.integrity.chain import ChainHead
from orgrecon_pipeline.domain.mapping.change import MappingChange, stored_mapping
from orgrecon_pipeline.domain.mapping.model import DEFAULT_TITLE, GatePolicy, MappingConfig
from orgrecon_pipeline.domain.reasons import Reason, ReasonCode
from orgrecon_pipeline.domain.record import Record, changed_since
from orgrecon_pipeline.report.checks.trail import Disagreement, disagreements
from orgrecon_pipeline.report.outline import ReportOutline
from orgrecon_pipeline_tests.support.default_identity import build_record

DAY = date(2026, 11, 23)
MAPPING_DIGEST = sha256_of("the mapping")
LEDGER = "0123456789abcdef"
ENTITIES = ("org_units", "org_unit_memberships")

SIDE = {"database": "app", "system_identifier": "7312345678901234567", "server_version": "18.0",
        "in_recovery": False, "snapshot": "00000003-0000001B-1"}

#: The same fields as in :mod:`orgrecon_pipeline.operations.observe.observe`.
COMPARED: dict[str, Any] = {
    "comparison_version": 1,
    "gate": {"window_days": 7, "same_day": "latest", "min_live_days": 0},
    "report": {"breakdown_limit": 200, "sample_keys": 10, "sample_values": False},
    "scan": {"settle_seconds": 5.0, "rechecks": 3, "deadline_seconds": 3600.0},
    "source": SIDE,
    "target": SIDE,
    "coverage": {"lost": [], "lost_count": 0, "never_seen": [], "never_seen_count": 0, "left": ["umbrella"],
                 "left_count": 1, "left_too_many": False, "acknowledged": [], "renamed": []},
    "tenants_declared": None,
    "values": {"org_units": {"kind": 24, "name": 24}, "org_unit_memberships": {"role": 480}},
}

BASELINE_COMPARED = {key: COMPARED[key] for key in ("comparison_version", "gate", "report", "scan")}


def totals(rows: int = 0, **drift: int) -> EntityTotals:
    """Return the totals of an entity; figures that are not named are zero."""
    return EntityTotals.zero().model_copy(update={"source_rows": rows, "target_rows": rows, **drift})


def observation(
    day: date = DAY, verdict: Verdict = Verdict.PASS, provenance: Provenance = Provenance.LIVE, *,
    reason: Reason | None = None,
    tenants: int | None = 12, drifting: int | None = 0, entities: Mapping[str, EntityTotals] | None = None,
    hour: int = 8, compared: Mapping[str, Any] = COMPARED, mapping_digest: str = MAPPING_DIGEST,
    change: Change | None = None,
) -> Observation:
    """Return an observation; a decided one has 504 rows on each side unless ``entities`` is given.

    All drift of a decided one is new since the day before unless ``change`` is given.
    """
    baseline, undecided = provenance is Provenance.BASELINE, verdict is Verdict.INCONCLUSIVE
    if entities is None:
        if undecided:
            entities = {name: EntityTotals.unknown() for name in ENTITIES}
        elif verdict is Verdict.FAIL:
            entities = {"org_units": totals(24, missing=1), "org_unit_memberships": totals(480)}
            drifting = 1
        elif baseline:
            entities = {name: totals() for name in ENTITIES}
        else:
            entities = {"org_units": totals(24), "org_unit_memberships": totals(480)}
    if reason is None:
        reason = reasons.baseline() if baseline else {
            Verdict.PASS: reasons.zero_drift(12, 1008),
            Verdict.FAIL: reasons.drift(1, 1, 12),
            Verdict.INCONCLUSIVE: Reason.word(
                ReasonCode.PERMISSION_DENIED, "org_units.source: grant SELECT on public.teams.",
                action="org_units.source"),
        }[verdict]
    if change is None and not (undecided or baseline):
        new = {name: dict(of_entity.counts) for name, of_entity in entities.items()}
        change = change_since(day - timedelta(days=1), new)
    draft = Observation(
        id="", title=DEFAULT_TITLE, ledger=None if baseline else LEDGER,
        day=day, provenance=provenance, verdict=verdict,
        **reason.as_fields(),
        observed_at=None if baseline else datetime(day.year, day.month, day.day, hour, 0, 3, 141592, timezone.utc),
        mapping_digest=mapping_digest, orgrecon_version="1.0.0",
        tenants_scanned=None if undecided else 0 if baseline else tenants,
        tenants_with_drift=None if undecided else 0 if baseline else drifting,
        entities=dict(entities), compared=dict(BASELINE_COMPARED if baseline else compared),
        change=change,
    )
    return draft.model_copy(update={"id": sha256_of(draft.model_dump(mode="json"))[:16]})


def change_since(
    since: date, new: Mapping[str, Mapping[str, int]], *, persistent: Mapping[str, Mapping[str, int]] | None = None,
    healed: Mapping[str, Mapping[str, int]] | None = None, skipped: Sequence[tuple[date, Verdict]] = (),
    first_seen: date | None = None,
) -> Change:
    """Return a change with the given numbers of keys by entity and kind. ``new`` has all entities.

    The oldest drift of each drifting entity was first seen on ``first_seen``, by default on the day after ``since``.
    """
    persistent, healed = persistent or {}, healed or {}
    drifting = {name for numbers in (new, persistent) for name, kinds in numbers.items() if any(kinds.values())}
    return Change(
        since=since, observation="0" * 16,
        skipped=tuple(SkippedDay(day=day, verdict=verdict) for day, verdict in skipped),
        entities={name: {kind.value: StateCounts(
            new=kinds.get(kind.value, 0), persistent=persistent.get(name, {}).get(kind.value, 0),
            healed=healed.get(name, {}).get(kind.value, 0)) for kind in DriftKind} for name, kinds in new.items()},
        oldest={name: Oldest(first_seen=first_seen or since + timedelta(days=1), tenant="acme") for name in drifting})


class History:
    """Ledger in memory: every observation of every day, and the record of each day."""

    def __init__(self, observations: Iterable[Observation] = ()) -> None:
        self.by_day: dict[date, list[Observation]] = {}
        for item in observations:
            self.add(item)

    def add(self, item: Observation) -> None:
        self.by_day.setdefault(item.day, []).append(item)

    def record(
        self, day: date, tenants: Sequence[TenantRow] = (), samples: Sequence[Sample] = (),
        mapping_change: MappingChange | None = None, ready_tenants: ReadyTenants | None = None,
    ) -> Record:
        observations = self.by_day[day]
        policy = strictest([gate_policy_of(item.compared) or GatePolicy() for item in observations])
        deciding = deciding_observation(observations, policy.same_day)
        assert deciding is not None
        own = gate_policy_of(deciding.compared) or GatePolicy()
        chain = {item.id: ChainHead(position=number, hash=sha256_of(item.id))
                 for number, item in enumerate(observations, start=1) if item.provenance.compared}
        return build_record(
            deciding, observations, tenants, samples, decide_gate(day, self.evidence(), own), mapping_change,
            ready_tenants, chain)

    def evidence(self) -> dict[date, DayEvidence]:
        return {day: DayEvidence.of(day, observations) for day, observations in self.by_day.items()}


def days_back(*back: int) -> list[date]:
    """Return the days that are ``back`` days before :data:`DAY`."""
    return [DAY - timedelta(days=n) for n in back]


def ready_tenants(
    day: date = DAY, *, tenants: int = 12, ready: int = 0, nearest: Mapping[str, int] | None = None,
    drifting: Mapping[str, int] | None = None, more_drifting: int = 0,
) -> ReadyTenants:
    """Return tenant gates; ``nearest`` are streaks of waiting tenants and ``drifting`` keys of drifting ones."""
    nearest, drifting = nearest or {}, drifting or {}
    return ReadyTenants(
        evidence=sha256_of("the evidence"), tenants=tenants, ready=ready, drifting=len(drifting) + more_drifting,
        nearest=tuple(WaitingTenant(
            tenant=tenant, streak_days=streak, earliest_open_day=day + timedelta(days=7 - streak))
            for tenant, streak in list(nearest.items())[:LISTED_TENANTS]),
        most_drift=tuple(DriftingTenant(
            tenant=tenant, drifting_keys=keys, earliest_open_day=day + timedelta(days=7))
            for tenant, keys in list(drifting.items())[:LISTED_TENANTS]))


def clean_week(provenance: Provenance = Provenance.LIVE, length: int = 7) -> History:
    """Return a history of clean days that ends with :data:`DAY`."""
    return History(observation(day, provenance=provenance) for day in days_back(*range(length)))


def disagreements_of(records: Mapping[date, Record]) -> list[Disagreement]:
    """Return the disagreements between the records of a trail, with outlines that share parts as in a verification."""
    known: dict[Hashable, Any] = {}
    outlines = {day: ReportOutline.of(records[day]).sharing(known) for day in sorted(records)}
    return list(disagreements(outlines, set(records)))


def forged(record: Record, **changes: Any) -> Record:
    """Return the record with changes and its new digest."""
    value = {**json.loads(record.line()), **changes}
    del value["digest"]
    value["digest"] = sha256_of(value)
    return Record.model_validate(value)


def row(
    tenant: str, entity: str = "org_units", rows: int = 2, *, first_seen: date | None = None, **drift: int
) -> TenantRow:
    """Return a row of the breakdown; figures that are not named are zero."""
    figures = {**Counts.zero(), "transient": 0, **drift}
    return TenantRow(tenant=tenant, entity=entity, source_rows=rows, target_rows=rows, first_seen=first_seen, **figures)


HOSTILE_NAMES = (
    "a|b", "a\\|b", "a\\", "|", "`", "``` `` `", "`a", "a`", " a ", "  ", " lead", "trail ", "two\nlines", "a\r\nb",
    "tab\there", "<b>bold</b>", "<script>alert(1)</script>", "<!-- -->", "-->", "<!-- orgrecon-record: {} -->",
    "[link](https://example.com)", "![image](x.png)", "https://example.com", "www.example.com", "<https://a.b>",
    "mail@example.com", "mailto:mail@example.com", "@everyone", "#123", "GH-123", "owner/repo#1", ":tada:", "[^1]",
    "*em* **strong** _em_ ~~gone~~", "$x^2$", "&lt;&#124;&amp;", "\u202egnp.exe", "zero\u200bwidth", "\x1b[31mred",
    "\x00", "\u2028", "\x85", "\ufeff", "- [ ] task", "# heading", "1. one", "---", "> quote", "| --- |", "{{ jinja }}",
    "{% raw %}", "日本語", "Ünïcödé", "a" * 200, "null", "{\"json\": true}", "\U000e0041tag", "5d41402abc4b2a76",
    "},{", '],"tenants_scanned":',
)


def golden_cases() -> dict[str, Record]:
    """Return the records of the golden reports by file name."""
    return {
        "pass_gate_open": clean_week().record(
            DAY, [row("acme"), row("acme", "org_unit_memberships", 40)],
            ready_tenants=ready_tenants(ready=9, nearest={"initech": 6, "umbrella": 2})),
        "fail_with_samples": _failing_day(),
        "inconclusive": _inconclusive_day(),
        "baseline": clean_week(Provenance.BASELINE, 3).record(DAY),
        "simulated": clean_week(Provenance.SIMULATED).record(DAY, [row("acme")]),
        "restored_with_missing_day": _week_with_missing_day(),
        "narrower_mapping": _day_of_a_narrower_mapping(),
        "hostile_names": hostile_record(HOSTILE_NAMES[::3]),
    }


def _failing_day() -> Record:
    """Return a day with new, old and healed drift, after a day that was not decided."""
    members, units = "org_unit_memberships", "org_units"
    history, (two_ago, yesterday) = clean_week(), days_back(2, 1)
    history.by_day[two_ago] = [observation(two_ago, Verdict.FAIL)]
    history.by_day[yesterday] = [observation(yesterday, Verdict.INCONCLUSIVE)]
    history.by_day[DAY] = [observation(
        verdict=Verdict.FAIL, reason=reasons.drift(8, 2, 12), drifting=2,
        entities={units: totals(24, missing=1, mismatched=1),
                  members: totals(480, unexpected=3, duplicate=3, transient=4)},
        compared={**COMPARED, "keys": {units: {"drifting": 2, "left_out": 0}, members: {"drifting": 4, "left_out": 0}},
                  "mismatched_columns": {units: {"name": 1, "parent_id": 1}}},
        change=change_since(
            two_ago, {units: {"mismatched": 1}, members: {"unexpected": 2, "duplicate": 1}},
            persistent={units: {"missing": 1}, members: {"unexpected": 1}}, healed={members: {"mismatched": 2}},
            skipped=[(yesterday, Verdict.INCONCLUSIVE)], first_seen=two_ago),
    )]
    return history.record(
        DAY,
        [row("globex", units, 3), row("globex", members, 51, unexpected=3, duplicate=3, transient=4,
                                             first_seen=two_ago),
         row("acme", units, 2, missing=1, mismatched=1, first_seen=two_ago), row("acme", members, 40),
         row("initech", units, 2), row("initech", members, 40)],
        [Sample(tenant="globex", entity=members, kind="unexpected", key={"user_id": "7", "unit_id": "31"},
                first_seen=two_ago, state=KeyState.PERSISTENT),
         Sample(tenant="globex", entity=members, kind="duplicate", key={"user_id": "9", "unit_id": "31"},
                first_seen=DAY, state=KeyState.NEW),
         Sample(tenant="acme", entity=units, kind="missing", key={"unit_id": "5"},
                show={"updated_at": "2026-02-10 09:14:03+00", "request_id": None},
                first_seen=two_ago, state=KeyState.PERSISTENT),
         Sample(tenant="acme", entity=units, kind="mismatched", key={"unit_id": "6"}, columns=("name", "parent_id"),
                values={"name": ("Sales & Marketing", "Sales"), "parent_id": ("4", None)},
                first_seen=DAY, state=KeyState.NEW)],
        ready_tenants=ready_tenants(nearest={"hooli": 1, "initech": 1}, drifting={"globex": 6, "acme": 2}),
    )


def _inconclusive_day() -> Record:
    history = clean_week()
    history.by_day[DAY] = [
        observation(verdict=Verdict.INCONCLUSIVE, hour=8),
        observation(verdict=Verdict.INCONCLUSIVE, hour=9,
                    reason=reasons.coverage_lost(["tenant 'acme'", "tenant 'a|b <i>'"], 2, None)),
    ]
    return history.record(DAY)


def _week_with_missing_day() -> Record:
    history = clean_week()
    del history.by_day[days_back(3)[0]]
    two_ago, yesterday = days_back(2, 1)
    history.by_day[two_ago] = [observation(two_ago, provenance=Provenance.RESTORED)]
    history.by_day[yesterday] = [observation(yesterday, mapping_digest=sha256_of("an older mapping"))]
    history.by_day[DAY] = [observation(provenance=Provenance.RESTORED)]
    return history.record(DAY)


def _day_of_a_narrower_mapping() -> Record:
    """Return a day with every optional part: a changed mapping, warnings, a renamed tenant, a new ledger."""
    full = default_mapping()
    text = full.model_dump_json(by_alias=True)
    narrow = MappingConfig.model_validate_json(
        text.replace('"compare":["name","kind","parent_id"]', '"compare":["name"]')
        .replace('"role":"role"},"where":null', '"role":"role"},"where":"role > 1"')
        .replace("u.deleted_at IS NULL", "u.deleted_at IS NULL AND u.kind <> 'team'"))
    history = clean_week()
    yesterday = days_back(1)[0]
    history.by_day[yesterday] = [
        observation(yesterday, compared={**COMPARED, "mapping": stored_mapping(full)}, mapping_digest=full.digest)]
    compared = {
        **COMPARED, "mapping": stored_mapping(narrow), "first_observation": True,
        "coverage": {**COMPARED["coverage"], "renamed": [["Acme", "acme"], ["a|b", " a|b"]]},
        "warnings": [{"code": "time_dependent", "entity": "org_units", "text": "org_units.source: where calls now()."}],
    }
    history.by_day[DAY] = [
        observation(hour=8, compared=history.by_day[yesterday][0].compared, mapping_digest=full.digest),
        observation(hour=9, compared=compared, mapping_digest=narrow.digest)]
    change = changed_since(history.by_day[DAY][1], history.by_day[yesterday][0])
    return history.record(DAY, [row("acme")], mapping_change=change)


def hostile_record(names: Sequence[str]) -> Record:
    """Return a record in which every foreign text is one of these names, in turn."""
    compared = {**COMPARED, "coverage": {"left": list(names)}, "odd": {name: name for name in names if name},
                "mismatched_columns": {"org_units": dict.fromkeys(names, 1)}}
    history = clean_week()
    entities = {"org_units": totals(24, missing=len(names), mismatched=1),
                **{name: totals(1) for name in names[:4] if name}}
    change = change_since(days_back(1)[0], {name: dict(of_entity.counts) for name, of_entity in entities.items()})
    change = change.model_copy(update={"oldest": {"org_units": Oldest(first_seen=DAY, tenant=names[0])}})
    history.by_day[DAY] = [
        observation(verdict=Verdict.FAIL, hour=7 + at, drifting=len(names), entities=entities, compared=compared,
                    change=change,
                    reason=Reason.word(ReasonCode.DRIFT, f"Drift in tenant {name} and in {name!a}.", tenant=name))
        for at, name in enumerate(names[:12])
    ]
    return history.record(
        DAY,
        [row(name, entity=name, missing=1) for name in names],
        [Sample(tenant=name, entity=name, kind="mismatched", key={name: name}, columns=(name,),
                values={name: (name, name)}, show={name: name}) for name in names],
        ready_tenants=ready_tenants(tenants=len(names), drifting=dict.fromkeys(names[:LISTED_TENANTS], 1),
                                    more_drifting=len(names[LISTED_TENANTS:])),
    )
