"""Script for the image's environment: launches today's run as Dagster's K8sRunLauncher does, and watches its events.

The launcher starts ``dagster api execute_run`` with the run's origin, in a pod with the instance of DAGSTER_HOME. The
web server follows the event log of such a run. The script prints what it saw as one JSON object.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from datetime import datetime, timezone

import dagster as dg
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster._grpc.types import ExecuteRunArgs

from orgrecon_pipeline.definitions import defs

JOB = "reconcile_day"


def main() -> None:
    """Launch and watch the run."""
    watched: list[str] = []
    finished = threading.Event()

    def watch(entry: dg.EventLogEntry, _cursor: str) -> None:
        if entry.dagster_event is not None:
            watched.append(entry.dagster_event.event_type_value)
            if watched[-1] in ("PIPELINE_SUCCESS", "PIPELINE_FAILURE"):
                finished.set()

    pointer = ModuleCodePointer("orgrecon_pipeline.definitions", "defs")
    origin = JobPythonOrigin(JOB, RepositoryPythonOrigin(sys.executable, pointer))
    today = datetime.now(timezone.utc).date().isoformat()
    with dg.DagsterInstance.get() as instance:
        run = instance.create_run_for_job(
            defs().resolve_job_def(JOB), tags={"dagster/partition": today}, job_code_origin=origin)
        instance.watch_event_logs(run.run_id, None, watch)
        command = ExecuteRunArgs(origin, run.run_id, instance.get_ref(), set_exit_code_on_failure=True)
        pod = subprocess.run(command.get_command_args(), stdout=sys.stderr, check=False)
        finished.wait(30)
        stored = instance.get_run_by_id(run.run_id)
        assert stored is not None
        print(json.dumps({
            "storage": type(instance.event_log_storage).__name__, "driver": instance.event_log_storage._engine.driver,
            "exit_code": pod.returncode, "status": stored.status.value, "watched": watched,
        }))


if __name__ == "__main__":
    main()
