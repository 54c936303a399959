"""Benchmark of the start of commands: ``python -m orgrecon_pipeline_tests.bench.startup``.

The ledger holds a past day and today, so ``report`` compares nothing. All commands run in turn, ``BENCH_ROUNDS`` times
(default 7), each as a process of its own. CPU time and memory are those of the process, as the system counts them.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from datetime import datetime, timedelta, timezone
from pathlib import Path

import psycopg

from orgrecon_pipeline.demo.company import create_schema, seed
from orgrecon_pipeline.demo.server import EmbeddedServer
from orgrecon_pipeline_tests.support.defs.processes import INSTANCE
from orgrecon_pipeline_tests.support.environ import inherited_environ

#: Five assets that only return metadata, materialised in process, as ``report`` materialises the assets of a day.
FIVE_ASSETS = """
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


def commands(past_day: str) -> dict[str, list[str]]:
    """Return the programs to run by name. In those that end with ``DAGSTER_HOME``, that variable is set."""
    orgrecon, report = ["-m", "orgrecon_pipeline"], ["report", "--date", past_day]
    return {
        "`import dagster`": ["-c", "import dagster"],
        "five trivial assets": ["-c", FIVE_ASSETS],
        "five trivial assets, `DAGSTER_HOME`": ["-c", FIVE_ASSETS],
        **{f"`orgrecon {name}`": [*orgrecon, *name.split()] for name in ("--help", "gate", "drift", "doctor")},
        "`orgrecon report` of a past day": [*orgrecon, *report],
        "`orgrecon report` of a past day, `DAGSTER_HOME`": [*orgrecon, *report],
    }


def measure(arguments: list[str], directory: Path, environ: dict[str, str]) -> tuple[float, float]:
    """Run a Python program to its end; return its CPU seconds and its largest resident memory in MB."""
    process = subprocess.Popen([sys.executable, *arguments], cwd=directory, env=environ, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != (1 if "gate" in arguments else 0):  # the gate is CLOSED
        raise SystemExit(f"{arguments} exited with {process.returncode}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main() -> None:
    """Print the table."""
    rounds = int(os.environ.get("BENCH_ROUNDS", "7"))
    past_day = f"{datetime.now(timezone.utc) - timedelta(days=1):%F}"
    with tempfile.TemporaryDirectory() as name, tempfile.TemporaryDirectory(prefix="orgrecon-pg-") as postgres, \
            EmbeddedServer(Path(postgres)) as server:
        directory = Path(name)
        (directory / "dagster.yaml").write_text(INSTANCE, encoding="utf-8")
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            create_schema(connection)
            seed(connection, tenants=12, users_per_tenant=8)
        environ = {**inherited_environ(), "DATABASE_URL": server.dsn()}
        for arguments in (["--baseline", "--date", past_day], []):
            measure(["-m", "orgrecon_pipeline", "report", *arguments], directory, environ)
        programs = commands(past_day)
        figures: dict[str, list[tuple[float, float]]] = {program: [] for program in programs}
        for _ in range(rounds + 1):
            for program, arguments in programs.items():
                home = {"DAGSTER_HOME": name} if program.endswith("`DAGSTER_HOME`") else {}
                figures[program].append(measure(arguments, directory, environ | home))
    medians = {}
    print("| program | CPU s: median | least | most | MB | ÷ doctor | ÷ five trivial assets |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for program, (_, *runs) in figures.items():  # the first round compiles and fills caches
        medians[program] = statistics.median(cpu for cpu, _ in runs)
    for program, (_, *runs) in figures.items():
        seconds = medians[program]
        five = medians["five trivial assets" + (", `DAGSTER_HOME`" if program.endswith("`DAGSTER_HOME`") else "")]
        print(f"| {program} | {seconds:.2f} | {min(runs)[0]:.2f} | {max(runs)[0]:.2f} | "
              f"{statistics.median(mb for _, mb in runs):.0f} | {seconds / medians['`orgrecon doctor`']:.2f} | "
              f"{seconds / five:.2f} |")


if __name__ == "__main__":
    main()
