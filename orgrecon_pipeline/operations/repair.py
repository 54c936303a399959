"""Plan the repair of a day: read its deciding observation and derive SQL, which is never executed here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from orgrecon_pipeline.config.settings import Settings
from orgrecon_pipeline.domain.canonical import MAX_NAME
from orgrecon_pipeline.domain.databases import pins_of, uses_citus
from orgrecon_pipeline.domain.drift.key import KeyState
from orgrecon_pipeline.domain.drift.kinds import DriftKind
from orgrecon_pipeline.domain.errors import ConfigurationError, UsageError
from orgrecon_pipeline.domain.evidence import Observation, TenantRow, Verdict
from orgrecon_pipeline.domain.mapping.model import MappingConfig
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline.ledger.statements.keys import KeyFilter
from orgrecon_pipeline.operations.clock import read_clock, refuse_future
from orgrecon_pipeline.operations.context import TARGET_VARIABLE
from orgrecon_pipeline.operations.drift.known_names import with_known_tenant
from orgrecon_pipeline.operations.own_ledger import existing_ledger
from orgrecon_pipeline.repair.script import RepairScript, build_script

_ALL = 2**31 - 1
# A script names each key of a state.
_MAX_KEYS = 100_000


@dataclass(frozen=True)
class RepairPlan:
    """The repair script of an observation, with notes for the person who runs it."""

    observation: Observation
    script: RepairScript
    notes: tuple[str, ...]

    def as_json_value(self) -> dict[str, Any]:
        """Return the plan as JSON values."""
        return {
            "day": self.observation.day.isoformat(), "observation": self.observation.id,
            "verdict": self.observation.verdict.value, "sql": self.script.sql,
            "unsupported": dict(self.script.unsupported), "notes": list(self.notes),
        }


def plan_repair(settings: Settings, day: date | None, only: KeyFilter | None = None) -> RepairPlan:
    """Plan the repair of the drift that the deciding observation of ``day``, by default today, found.

    ``only`` limits it to the keys of a tenant, an entity, a kind or a state.

    Raises:
        DayRefused: if the day is in the future.
        UsageError: if the day has no decided observation, was compared under another mapping, or ``only`` names an
            unknown tenant or entity, healed keys, or too many keys.
        ConfigurationError: if source and target are not in one database, that database has Citus, or the ledger or the
            mapping cannot be used.
    """
    mapping = settings.mapping
    if settings.environ.get(TARGET_VARIABLE) or mapping.shards:
        cause = "the mapping lists shards" if mapping.shards else f"{TARGET_VARIABLE} is set"
        raise ConfigurationError(f"repair-sql needs source and target in one database, but {cause}: "
                                 "repair the drift by hand.")
    today = read_clock(settings.environ).today()
    day = day or today
    refuse_future(day, today)
    ledger = existing_ledger(settings, mapping)
    observation = ledger.deciding(day, mapping.gate.same_day) if ledger else None
    if ledger is None or observation is None:
        # A past day cannot be observed any more.
        fix = "run orgrecon report first" if day == today else "import its report, or choose another --date"
        raise UsageError(f"{day} has no observation in the ledger: {fix}.")
    _check_repairable(observation, mapping, is_today=day == today)
    only = with_known_tenant(ledger, observation, only or KeyFilter())
    rows, notes = _drifting_rows(ledger, observation)
    if observation.verdict is Verdict.PASS:
        rows, notes = [], ["The observation found no drift, so the script changes nothing."]
    rows = _selected(rows, only, mapping)
    keys = None
    if only.state is not None:
        keys, more = _keys_in_state(ledger, observation, only)
        rows, notes = [row for row in rows if (row.tenant, row.entity) in keys], [*notes, *more]
    if observation.verdict is Verdict.FAIL and not rows:
        notes.append("No drifting key that can be repaired matches the options, so the script changes nothing.")
    script = build_script(
        mapping, rows, day=day.isoformat(), observation=observation.id,
        in_flux=observation.compared.get("keys_in_flux", 0), notes=notes,
        database=pins_of(observation.compared).get("source"),
        kinds=tuple(DriftKind) if only.kind is None else (only.kind,), keys=keys)
    return RepairPlan(observation, script, tuple(notes))


def _selected(rows: list[TenantRow], only: KeyFilter, mapping: MappingConfig) -> list[TenantRow]:
    if only.entity is not None and only.entity not in mapping.entities:
        raise UsageError(f"--entity {only.entity[:80]!a} is not in the mapping: choose one of "
                         f"{', '.join(mapping.entities)}.")
    return [row for row in rows if only.tenant in (None, row.tenant) and only.entity in (None, row.entity)
            and (only.kind is None or row.counts[only.kind] or row.transient)]


def _keys_in_state(
    ledger: Ledger, observation: Observation, only: KeyFilter
) -> tuple[dict[tuple[str, str], list[tuple[str, ...]]], list[str]]:
    """Return the kept keys in a state, by tenant and entity, and notes about those that cannot be named."""
    if only.state is KeyState.HEALED:
        raise UsageError("--state healed names keys that no longer drift: choose new or persistent.")
    keys: dict[tuple[str, str], list[tuple[str, ...]]] = {}
    shortened = 0
    for count, key in enumerate(ledger.keys(observation, only)):
        if count >= _MAX_KEYS:
            raise UsageError(f"more than {_MAX_KEYS:,} keys are {only.state.value if only.state else 'drifting'}: name "
                             "a --tenant or an --entity, or leave out --state.")
        if any(map(_is_shortened, key.key)):
            shortened += 1
        else:
            keys.setdefault((key.tenant, key.entity), []).append(key.key)
    notes = ["Keys that are too long to be stored in full are left out."] if shortened else []
    kept, drifting = ledger.kept_keys(observation), observation.drifting_keys()
    if any(kept.get(name, 0) != keys_of_entity for name, keys_of_entity in drifting.items()):
        notes.append("The ledger does not have every drifting key of the day; the others are left out.")
    return {names: list(dict.fromkeys(of_entity)) for names, of_entity in keys.items()}, notes


def _is_shortened(text: str) -> bool:
    # A shortened name has the maximum length and contains a digest.
    return "…sha256:" in text and len(text) == MAX_NAME


def _check_repairable(observation: Observation, mapping: MappingConfig, *, is_today: bool) -> None:
    day = observation.day
    if not observation.verdict.decided:
        raise UsageError(f"{day} is {observation.verdict.value}, so its drift is unknown and cannot be repaired: "
                         f"{observation.reason}")
    if observation.provenance.compared and observation.mapping_digest != mapping.digest:
        fix = "run orgrecon report with this mapping first" if is_today else "name that mapping with --mapping"
        raise UsageError(f"{day} was compared under another mapping: {fix}.")
    if uses_citus(observation.compared):
        raise ConfigurationError("repair-sql cannot change tables that Citus distributes, whose rows have no unique "
                                 "ctid: repair the keys that orgrecon drift lists by hand.")


def _drifting_rows(ledger: Ledger, observation: Observation) -> tuple[list[TenantRow], list[str]]:
    """Return the figures of the drifting tenants that can be repaired, and notes about the other ones."""
    known = [row for row in ledger.breakdown(observation.id, _ALL) if row.drift or row.transient]
    rows = [row for row in known if not _is_shortened(row.tenant)]
    notes = []
    if len(rows) < len(known):
        notes.append("Tenants whose names are too long to be stored in full are left out.")
    tenants = len({row.tenant for row in known if row.drift})
    if tenants < (observation.tenants_with_drift or 0):
        notes.append(f"Only {tenants} of {observation.tenants_with_drift} drifting tenants are included, because the "
                     "ledger was imported from reports: run orgrecon report again to include the others.")
    return rows, notes
