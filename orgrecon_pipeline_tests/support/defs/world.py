"""A simulated company under an injected clock, and the Dagster definitions for it."""

from __future__ import annotations

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
from orgrecon_pipeline.defs.jobs import GATE_JOB_NAME, JOB_NAME
from orgrecon_pipeline.demo.faults import Fault, inject
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline.operations.gate.current import GateAnswer
from orgrecon_pipeline.operations.gate.dagster_client import GATE_ASSET
from orgrecon_pipeline.operations.gate.dagster_evaluations import GATE_CHECK
from orgrecon_pipeline.operations.gate.sources import answer_gate
from orgrecon_pipeline_tests.support.default_identity import open_ledger
from orgrecon_pipeline_tests.support.environ import inherited_environ

CHECK = dg.AssetCheckKey(dg.AssetKey(GATE_ASSET), GATE_CHECK)
MAPPING = (
    (Path(__file__).parents[3] / "orgrecon_pipeline/config/default_mapping.yaml").read_text(encoding="utf-8")
)
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass
class World:
    """One company, ledger, output directory and clock; ``admin`` is a superuser connection to the company."""

    admin: Any
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

    def set_clock(self, day: date, hour: int = 8, minute: int = 0) -> datetime:
        """Set the injected clock and return its time."""
        moment = datetime.combine(day, time(hour, minute), timezone.utc)
        (self.directory / "now").write_text(moment.isoformat(), encoding="ascii")
        return moment

    def inject_drift(self) -> None:
        """Inject one more drifting key."""
        inject(self.admin, Fault.MISSING_MEMBERSHIP, count=1)

    def heal_drift(self) -> None:
        """Insert the memberships that are missing in v2.3."""
        self.admin.execute(
            "INSERT INTO public.org_unit_memberships (tenant_id, org_unit_id, user_id, role) "
            "SELECT m.tenant_id, u.id, m.user_id, m.role FROM public.team_members m "
            "JOIN public.org_units u ON u.tenant_id = m.tenant_id AND u.legacy_id = m.team_id "
            "AND u.deleted_at IS NULL "
            "WHERE NOT EXISTS (SELECT FROM public.org_unit_memberships x WHERE x.tenant_id = m.tenant_id "
            "AND x.org_unit_id = u.id AND x.user_id = m.user_id)"
        )

    def run_day_job(self, instance: dg.DagsterInstance, day: date, **config: bool) -> dg.ExecuteInProcessResult:
        """Run the job of a day in this process."""
        return self.definitions.resolve_job_def(JOB_NAME).execute_in_process(
            run_config={"ops": {"tenant_drift": {"config": config}}, **QUIET}, partition_key=day.isoformat(),
            instance=instance, raise_on_error=False,
        )

    def run_gate_job(self, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
        """Run the gate job in this process."""
        return self.definitions.resolve_job_def(GATE_JOB_NAME).execute_in_process(
            run_config=QUIET, instance=instance, raise_on_error=False
        )

    def ask_gate(self) -> GateAnswer:
        """Return the answer of ``orgrecon gate``."""
        return answer_gate(read_settings(self.environ), trail=None, day=None, require_live=0)

    def write_mapping(self, **scan: float) -> None:
        """Write the mapping file with short waits, and the given values of ``scan``."""
        values = {"settle_seconds": 0, "rechecks": 1, "lock_timeout_seconds": 0.3, "statement_timeout_seconds": 20,
                  "deadline_seconds": 60, **scan}
        line = "scan:     {" + ", ".join(f"{name}: {value}" for name, value in values.items()) + "}\n"
        lines = [line if default.startswith("scan:") else default for default in MAPPING.splitlines(keepends=True)]
        path = self.directory / "orgrecon.yaml"
        path.write_text("".join(lines), encoding="utf-8")
        load_mapping(str(path), {})


def environment(directory: Path, dsn: str) -> dict[str, str]:
    """Return the variables of a world, without any orgrecon or Dagster variable of the caller."""
    return {
        **inherited_environ(),
        "DATABASE_URL": dsn,
        "ORGRECON_LEDGER_URL": f"sqlite:///{directory / 'ledger.db'}",
        "ORGRECON_OUTPUT_DIR": str(directory / "reports"),
        "ORGRECON_MAPPING": str(directory / "orgrecon.yaml"),
        "ORGRECON_SIMULATED_NOW_FILE": str(directory / "now"),
    }


def checks(result: dg.ExecuteInProcessResult) -> Mapping[str, bool]:
    """Return whether each check of a run passed, by name."""
    return {check.check_name: check.passed for check in result.get_asset_check_evaluations()}


def failure(result: dg.ExecuteInProcessResult) -> str:
    """Return the description of the first failed step."""
    for event in result.all_events:
        if event.is_step_failure:
            user_failure = event.step_failure_data.user_failure_data
            return str(user_failure.description) if user_failure else str(event.step_failure_data.error)
    raise AssertionError("no step failed")


def wrapped(execution: Any, *earlier: Any, **changes: Any) -> dict[str, Any]:
    """Return the GraphQL response about the gate's check with these executions, latest first, in one code location."""
    return {"data": {
        "assetNodeOrError": {"__typename": "AssetNode", "assetChecksOrError": {
            "__typename": "AssetChecks", "checks": [
                {"name": "another", "executionForLatestMaterialization": None},
                {"name": "seven_day_zero_delta", "executionForLatestMaterialization": execution},
            ]}},
        "assetCheckExecutions": [each for each in (execution, *earlier) if each],
        "assetNodeDefinitionCollisions": [],
        "workspaceOrError": {"__typename": "Workspace", "locationEntries": [location("orgrecon")]},
        **changes,
    }}


def location(name: str, *, status: str = "LOADED", loaded: str | None = "RepositoryLocation") -> dict[str, Any]:
    """Return a code location in a GraphQL response."""
    return {"name": name, "loadStatus": status, "locationOrLoadError": loaded and {"__typename": loaded}}
