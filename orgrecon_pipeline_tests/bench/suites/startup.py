"""Cost of commands that have next to nothing to do: what a user waits for at the start."""

from __future__ import annotations

import compileall
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import orgrecon_pipeline
from orgrecon_pipeline.demo.server import EmbeddedServer
from orgrecon_pipeline.operations.clock import Clock
from orgrecon_pipeline_tests.bench.commands import CommandCost, measure_commands
from orgrecon_pipeline_tests.bench.data import database
from orgrecon_pipeline_tests.bench.results import Table, median_and_spread, table
from orgrecon_pipeline_tests.bench.shapes import JOINED
from orgrecon_pipeline_tests.support.defs.processes import INSTANCE

_ROUNDS = 7
_BIN = Path(sys.executable).parent
# Five assets that only return metadata, materialised in process, as ``report`` materialises the assets of a day.
_FIVE_ASSETS = """
import os
import dagster as dg

def asset(name, *deps):
    @dg.asset(name=name, deps=deps, partitions_def=dg.DailyPartitionsDefinition("2024-01-01"))
    def compute() -> dg.MaterializeResult:
        return dg.MaterializeResult(metadata={"rows": 1})
    return compute

assets = [asset("a")]
for name in "bcde":
    assets.append(asset(name, assets[-1]))
day = dg.define_asset_job("day", executor_def=dg.in_process_executor)
job = dg.Definitions(assets, jobs=[day]).resolve_job_def("day")
with dg.DagsterInstance.get() if os.environ.get("DAGSTER_HOME") else dg.DagsterInstance.ephemeral() as instance:
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    assert job.execute_in_process(quiet, instance, partition_key="2026-03-01").success
"""


def tables(server: EmbeddedServer) -> Iterator[Table]:
    """Yield one table."""
    # As after an installation, also where an environment variable forbids Python to store compiled modules.
    compileall.compile_dir(Path(orgrecon_pipeline.__file__).parent, quiet=1)
    orgrecon, python = str(_BIN / "orgrecon"), sys.executable
    with tempfile.TemporaryDirectory(prefix="orgrecon-bench-") as directory, database(server, JOINED, 10_000) as dsn:
        cwd, home = Path(directory), Path(directory) / "home"
        home.mkdir()
        (home / "dagster.yaml").write_text(INSTANCE, encoding="utf-8")
        environ = {"DATABASE_URL": dsn, "DAGSTER_HOME": ""}
        past = str(Clock().today() - timedelta(days=1))
        for command in (["report"], ["report", "--baseline", "--date", past]):
            subprocess.run([orgrecon, *command], cwd=cwd, env=environ, check=True, capture_output=True)
        costs = measure_commands({
            "`python -c pass`": [python, "-c", "pass"],
            "`import dagster`": [python, "-c", "import dagster"],
            "five trivial assets, in process": [python, "-c", _FIVE_ASSETS],
            "`orgrecon --help`": [orgrecon, "--help"],
            "`orgrecon gate`": [orgrecon, "gate"],
            "`orgrecon drift`": [orgrecon, "drift"],
            "`orgrecon doctor`": [orgrecon, "doctor"],
            "`orgrecon report` of a past day": [orgrecon, "report", "--date", past],
        }, _ROUNDS, cwd, environ)
        costs |= measure_commands({
            "five trivial assets, with `DAGSTER_HOME`": [python, "-c", _FIVE_ASSETS],
            "`orgrecon report` of a past day, with `DAGSTER_HOME`": [orgrecon, "report", "--date", past],
        }, _ROUNDS, cwd, {**environ, "DAGSTER_HOME": str(home)})
    yield table("startup", "Commands with next to nothing to do: a ledger of two days, 10,000 memberships per side",
                ("command", "CPU s", "÷ `orgrecon doctor`", "÷ five trivial assets", "peak MB"),
                [_row(name, cost, costs) for name, cost in costs.items()])


def _row(name: str, cost: CommandCost, costs: dict[str, CommandCost]) -> list[str]:
    five = "five trivial assets, with `DAGSTER_HOME`" if "DAGSTER_HOME" in name else "five trivial assets, in process"
    return [name, median_and_spread(cost.cpu_seconds, 2),
            f"{cost.median / costs['`orgrecon doctor`'].median:.2f}", f"{cost.median / costs[five].median:.2f}",
            f"{cost.peak_mb:.0f}"]
