"""Several ledgers whose code locations evaluate the same check of one Dagster instance."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import pytest

from orgrecon_pipeline.config.settings import read_settings
from orgrecon_pipeline.defs.gate_check import refresh_gate_check
from orgrecon_pipeline.operations.context import Context
from orgrecon_pipeline.operations.gate.accept_ledger import accept_ledger
from orgrecon_pipeline.operations.gate.current import GateAnswer
from orgrecon_pipeline.operations.observe.observe import stamp_baseline
from orgrecon_pipeline_tests.support.defs.displayed_check import displayed_gate
from orgrecon_pipeline_tests.support.defs.world import CHECK, World, environment

TODAY = date(2026, 3, 10)


@dataclass
class Location:
    """A code location with its own ledger, and the client that asks for its identity.

    Definitions read their secrets from the environment of the process, so ``monkeypatch`` sets it before each use.
    """

    world: World
    monkeypatch: pytest.MonkeyPatch
    instance: dg.DagsterInstance

    @property
    def context(self) -> Context:
        return Context.from_settings(read_settings(self.world.environ))

    def stamp_baselines(self, days: int = 7) -> None:
        """Stamp the last days as empty clusters; after seven, the ledger's gate is OPEN."""
        for back in range(days):
            stamp_baseline(self.context, TODAY - timedelta(days=back))

    def evaluate(self) -> None:
        """Run the gate job."""
        self._enter()
        assert self.world.run_gate_job(self.instance).success

    def refresh(self) -> bool:
        """Refresh the check without a run, as a command does; return whether a result was stored."""
        return refresh_gate_check(self.instance, self.context, CHECK.asset_key)

    def sensor_requests(self) -> int:
        """Evaluate the sensor that keeps the check up to date; return the number of runs that it requests."""
        self._enter()
        repository = self.world.definitions.get_repository_def()
        with dg.build_sensor_context(
            instance=self.instance, repository_def=repository, resources=dict(self.world.definitions.resources or {}),
        ) as context:
            return len(repository.get_sensor_def("gate_is_current").evaluate_tick(context).run_requests or ())

    def accept(self, other: Location | None = None) -> None:
        """Accept the evaluations so far of another ledger, or of all ledgers."""
        accept_ledger(self.context, "the other one is gone", other.context.ledger.id if other else None)

    def ask(self) -> GateAnswer:
        """Return the answer of ``orgrecon gate --dagster-url``."""
        return displayed_gate(self.instance, self.world)

    @property
    def open(self) -> bool:
        """Whether the gate is OPEN according to the ledger alone."""
        return self.world.ask_gate().open

    def _enter(self) -> None:
        for name in ("ORGRECON_LEDGER_URL", "ORGRECON_OUTPUT_DIR", "ORGRECON_MAPPING", "ORGRECON_ENVIRONMENT",
                     "ORGRECON_SIMULATED_NOW_FILE", "DATABASE_URL"):
            self.monkeypatch.setenv(name, self.world.environ[name])


def new_world(directory: Path, environment_name: str) -> World:
    """Return a world without a database in a new directory."""
    directory.mkdir()
    world = World(None, {**environment(directory, "postgresql://nobody@nowhere/none"),
                         "ORGRECON_ENVIRONMENT": environment_name}, directory)
    world.write_mapping()
    world.set_clock(TODAY, 12)
    return world


