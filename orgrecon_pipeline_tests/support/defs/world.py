"""A simulated company under an injected clock, and Dagster's definitions over it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timezone
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg

from orgrecon_pipeline.config.mapping_file import load_mapping
from orgrecon_pipeline.config.settings import read_settings
from orgrecon_pipeline.defs.build import build_definitions
from orgrecon_pipeline.defs.gate_check import GATE_ASSET, GATE_CHECK
from orgrecon_pipeline.defs.jobs import GATE_JOB_NAME, JOB_NAME
from orgrecon_pipeline.demo.faults import Fault, inject
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline.ledger.open import open_ledger
from orgrecon_pipeline.operations.gate.current import GateAnswer
from orgrecon_pipeline.operations.gate.sources import answer_gate

CHECK = dg.AssetCheckKey(dg.AssetKey(GATE_ASSET), GATE_CHECK)
MAPPING = (
    (Path(__file__).parents[3] / "orgrecon_pipeline/config/default_mapping.yaml").read_text(encoding="utf-8")
)
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass
class World:
    """One company, one ledger, one audit directory, one clock."""

    admin: Any  # a connection as superuser
    environ: dict[str, str]
    directory: Path

    @property
    def reports(self) -> Path:
        return self.directory / "reports"

    @property
    def ledger(self) -> Ledger:
        return open_ledger(self.environ["ORGRECON_LEDGER_URL"])

    @cached_property
    def definitions(self) -> dg.Definitions:
        return build_definitions(self.environ)

    def at(self, day: date, hour: int = 8, minute: int = 0) -> datetime:
        """Set the clock."""
        moment = datetime.combine(day, time(hour, minute), timezone.utc)
        (self.directory / "now").write_text(moment.isoformat(), encoding="ascii")
        return moment

    def drift(self) -> None:
        """One drifting key more."""
        inject(self.admin, Fault.MISSING_MEMBERSHIP, count=1)

    def heal(self) -> None:
        """No drift: the memberships that v2.3 lacks are written again."""
        self.admin.execute(
            "INSERT INTO public.org_unit_memberships (tenant_id, org_unit_id, user_id, role) "
            "SELECT m.tenant_id, u.id, m.user_id, m.role FROM public.team_members m "
            "JOIN public.org_units u ON u.tenant_id = m.tenant_id AND u.legacy_id = m.team_id "
            "AND u.deleted_at IS NULL "
            "WHERE NOT EXISTS (SELECT FROM public.org_unit_memberships x WHERE x.tenant_id = m.tenant_id "
            "AND x.org_unit_id = u.id AND x.user_id = m.user_id)"
        )

    def run(self, instance: dg.DagsterInstance, day: date, **config: bool) -> dg.ExecuteInProcessResult:
        """The job of a day, in this process."""
        return self.definitions.resolve_job_def(JOB_NAME).execute_in_process(
            run_config={"ops": {"tenant_drift": {"config": config}}, **QUIET}, partition_key=day.isoformat(),
            instance=instance, raise_on_error=False,
        )

    def decide(self, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
        """The job of the gate alone."""
        return self.definitions.resolve_job_def(GATE_JOB_NAME).execute_in_process(
            run_config=QUIET, instance=instance, raise_on_error=False
        )

    def gate(self) -> GateAnswer:
        """What ``orgrecon gate`` says."""
        return answer_gate(read_settings(self.environ), trail=None, day=None, require_live=0)

    def mapping(self, **scan: float) -> None:
        """Write the mapping file, impatient."""
        values = {"settle_seconds": 0, "rechecks": 1, "lock_timeout_seconds": 0.3, "statement_timeout_seconds": 20,
                  "deadline_seconds": 60, **scan}
        line = "scan:     {" + ", ".join(f"{name}: {value}" for name, value in values.items()) + "}\n"
        lines = [line if was.startswith("scan:") else was for was in MAPPING.splitlines(keepends=True)]
        path = self.directory / "orgrecon.yaml"
        path.write_text("".join(lines), encoding="utf-8")
        load_mapping(str(path), {})


def environment(directory: Path, dsn: str) -> dict[str, str]:
    """The variables of a world; nothing of the caller's configuration gets in."""
    return {
        **{name: value for name, value in os.environ.items()
           if not name.startswith(("ORGRECON_", "DATABASE_URL", "DAGSTER_"))},
        "DATABASE_URL": dsn,
        "ORGRECON_LEDGER_URL": f"sqlite:///{directory / 'ledger.db'}",
        "ORGRECON_OUTPUT_DIR": str(directory / "reports"),
        "ORGRECON_MAPPING": str(directory / "orgrecon.yaml"),
        "ORGRECON_SIMULATED_NOW_FILE": str(directory / "now"),
    }


def checks(result: dg.ExecuteInProcessResult) -> Mapping[str, bool]:
    """Each check of a run, by name."""
    return {one.check_name: one.passed for one in result.get_asset_check_evaluations()}


def failure(result: dg.ExecuteInProcessResult) -> str:
    """The sentence of the first failed step."""
    for event in result.all_events:
        if event.is_step_failure:
            told = event.step_failure_data.user_failure_data
            return str(told.description) if told else str(event.step_failure_data.error)
    raise AssertionError("no step failed")


def wrapped(execution: Any) -> dict[str, Any]:
    """What GraphQL answers of the gate's check, whose last execution that is."""
    return {"data": {"assetNodeOrError": {"__typename": "AssetNode", "assetChecksOrError": {
        "__typename": "AssetChecks", "checks": [
            {"name": "another", "executionForLatestMaterialization": None},
            {"name": "seven_day_zero_delta", "executionForLatestMaterialization": execution},
        ]}}}}
