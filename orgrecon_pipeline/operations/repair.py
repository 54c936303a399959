"""Plan the repair of a day: read its deciding observation and derive SQL, which is never executed here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from orgrecon_pipeline.config.mapping_file import load_mapping
from orgrecon_pipeline.config.settings import Settings
from orgrecon_pipeline.domain.canonical import MAX_NAME
from orgrecon_pipeline.domain.databases import pins_of
from orgrecon_pipeline.domain.errors import ConfigurationError, UsageError
from orgrecon_pipeline.domain.evidence import Observation, TenantRow, Verdict
from orgrecon_pipeline.domain.mapping import MappingConfig
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline.operations.clock import read_clock, refuse_future
from orgrecon_pipeline.operations.context import TARGET_VARIABLE
from orgrecon_pipeline.operations.own_ledger import existing_ledger
from orgrecon_pipeline.repair.script import RepairScript, build_script

_ALL = 2**31 - 1


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


def plan_repair(settings: Settings, day: date | None) -> RepairPlan:
    """Plan the repair of the drift that the deciding observation of ``day``, by default today, found.

    Raises:
        DayRefused: if the day is in the future.
        UsageError: if the day has no decided observation, or was compared under another mapping.
        ConfigurationError: if source and target are not in one database, or the ledger or the mapping cannot be used.
    """
    mapping = load_mapping(settings.mapping_file, settings.environ)
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
    rows, notes = _drifting_rows(ledger, observation)
    if observation.verdict is Verdict.PASS:
        rows, notes = [], ["The observation found no drift, so the script changes nothing."]
    in_flux = observation.compared.get("keys_in_flux")
    script = build_script(
        mapping, rows, day=day.isoformat(), observation=observation.id,
        in_flux=in_flux if isinstance(in_flux, int) else 0, notes=notes,
        database=pins_of(observation.compared).get("source"))
    return RepairPlan(observation, script, tuple(notes))


def _check_repairable(observation: Observation, mapping: MappingConfig, *, is_today: bool) -> None:
    day = observation.day
    if not observation.verdict.decided:
        raise UsageError(f"{day} is {observation.verdict.value}, so its drift is unknown and cannot be repaired: "
                         f"{observation.reason}")
    if observation.provenance.compared and observation.mapping_digest != mapping.digest:
        fix = "run orgrecon report with this mapping first" if is_today else "name that mapping with --mapping"
        raise UsageError(f"{day} was compared under another mapping: {fix}.")


def _drifting_rows(ledger: Ledger, observation: Observation) -> tuple[list[TenantRow], list[str]]:
    """Return the figures of the drifting tenants that can be repaired, and notes about the other ones."""
    known = [row for row in ledger.breakdown(observation.id, _ALL) if row.drift or row.transient]
    # A shortened name has the maximum length and contains a digest.
    rows = [row for row in known if "…sha256:" not in row.tenant or len(row.tenant) != MAX_NAME]
    notes = []
    if len(rows) < len(known):
        notes.append("Tenants whose names are too long to be stored in full are left out.")
    tenants = len({row.tenant for row in known if row.drift})
    if tenants < (observation.tenants_with_drift or 0):
        notes.append(f"Only {tenants} of {observation.tenants_with_drift} drifting tenants are included, because the "
                     "ledger was imported from reports: run orgrecon report again to include the others.")
    return rows, notes
