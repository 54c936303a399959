"""SQL that would heal the drift of a day; it is only written, never run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from orgrecon_pipeline.config.mapping_file import load_mapping
from orgrecon_pipeline.config.settings import Settings
from orgrecon_pipeline.domain.bounded_names import MAX_NAME
from orgrecon_pipeline.domain.errors import ConfigurationError, UsageError
from orgrecon_pipeline.domain.evidence import Observation, TenantRow, Verdict
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline.ledger.open import open_existing
from orgrecon_pipeline.operations.clock import read_clock, refuse_future
from orgrecon_pipeline.operations.context import TARGET_VARIABLE
from orgrecon_pipeline.operations.observe.pinned_databases import pins_of
from orgrecon_pipeline.repair.script import Repair, repair

_ALL = 2**31 - 1


@dataclass(frozen=True)
class RepairPlan:
    """What was derived from which observation; ``notes`` are lines for a person."""

    observation: Observation
    repair: Repair
    notes: tuple[str, ...]

    def as_json_value(self) -> dict[str, Any]:
        """The SQL, what it was derived from, and what it does not heal."""
        return {
            "day": self.observation.day.isoformat(), "observation": self.observation.id,
            "verdict": self.observation.verdict.value, "sql": self.repair.sql,
            "unsupported": dict(self.repair.unsupported), "notes": list(self.notes),
        }


def repair_sql(settings: Settings, day: date | None) -> RepairPlan:
    """SQL for the drift that the deciding observation of ``day``, by default of today, found.

    Raises:
        DayRefused: when the day is in the future.
        UsageError: when the day has no observation, or none that is decided, or it was made under another mapping.
        ConfigurationError: when the two sides are not in one database, or ledger or mapping cannot be used.
    """
    mapping = load_mapping(settings.mapping_file, settings.environ)
    if settings.environ.get(TARGET_VARIABLE) or mapping.shards:
        raise ConfigurationError("repair-sql needs both sides in one database: with two, or with shards, no "
                                 "statement can check the source when it writes the target.")
    today = read_clock(settings.environ).today()
    day = day or today
    refuse_future(day, today)
    ledger = open_existing(settings.ledger_url)
    observation = ledger.deciding(day, mapping.gate.same_day) if ledger else None
    if ledger is None or observation is None:
        # A past day cannot be observed any more.
        fix = "run orgrecon report first" if day == today else "import its report, or name another --date"
        raise UsageError(f"{day} has no observation in the ledger: {fix}.")
    if not observation.verdict.decided:
        raise UsageError(f"{day} is {observation.verdict.value}: what could not be compared cannot be healed. "
                         f"Its reason: {observation.reason}")
    if observation.provenance.compared and observation.mapping_digest != mapping.digest:
        fix = "run orgrecon report under this one first" if day == today else "name that one with --mapping"
        raise UsageError(f"{day} was compared under another mapping: {fix}.")
    rows, notes = _rows(ledger, observation)
    if observation.verdict is Verdict.PASS:
        rows, notes = [], ("The observation found no drift: there is nothing to heal.",)
    unsettled = observation.compared.get("unsettled_keys")
    healing = repair(
        mapping, rows, unsettled=unsettled if isinstance(unsettled, int) else 0, notes=notes,
        head={"day": day.isoformat(), "observation": observation.id},
        database=pins_of(observation.compared).get("source"),
    )
    return RepairPlan(observation, healing, notes)


def _rows(ledger: Ledger, observation: Observation) -> tuple[list[TenantRow], tuple[str, ...]]:
    """The rows of every tenant that drifts, and what could not be learnt of them."""
    kept = [row for row in ledger.breakdown(observation.id, _ALL) if row.drift or row.transient]
    rows = [row for row in kept if not _is_cut(row.tenant)]
    notes = []
    if len(rows) < len(kept):
        notes.append("Left out: tenants whose names are too long to be kept whole.")
    known = len({row.tenant for row in kept if row.drift})
    if known < (observation.tenants_with_drift or 0):
        notes.append(f"Only {known} of {observation.tenants_with_drift} drifting tenants are known here, for the "
                     "ledger was made from reports: run orgrecon report again for the others.")
    return rows, tuple(notes)


def _is_cut(tenant: str) -> bool:
    return "…sha256:" in tenant and len(tenant) == MAX_NAME
