"""The ``dagster.yaml`` that Dagster's chart (version 1.13) mounts into code servers and run pods.

The chart is not available offline. These are the parts of its template ``configmap-instance.yaml`` with its default
values, in its order.
"""

from __future__ import annotations

from typing import Any


def chart_instance(postgres_db: dict[str, Any]) -> dict[str, Any]:
    """Return the instance with these connection parameters, as the chart writes them into all three storages."""
    storages = {"schedule_storage": ("schedule_storage", "PostgresScheduleStorage"),
                "run_storage": ("run_storage", "PostgresRunStorage"),
                "event_log_storage": ("event_log", "PostgresEventLogStorage")}
    return {
        "scheduler": {"module": "dagster.core.scheduler", "class": "DagsterDaemonScheduler"},
        **{name: {"module": f"dagster_postgres.{module}", "class": class_name, "config": {"postgres_db": postgres_db}}
           for name, (module, class_name) in storages.items()},
        "run_launcher": {"module": "dagster_k8s", "class": "K8sRunLauncher", "config": {
            "load_incluster_config": True, "job_namespace": "dagster", "image_pull_policy": "Always",
            "service_account_name": "dagster", "dagster_home": {"env": "DAGSTER_HOME"},
            "instance_config_map": {"env": "DAGSTER_K8S_INSTANCE_CONFIG_MAP"},
            "postgres_password_secret": {"env": "DAGSTER_K8S_PG_PASSWORD_SECRET"},
            "env_config_maps": [{"env": "DAGSTER_K8S_PIPELINE_RUN_ENV_CONFIGMAP"}],
        }},
        "run_coordinator": {"module": "dagster.core.run_coordinator", "class": "QueuedRunCoordinator"},
        "compute_logs": {"module": "dagster.core.storage.noop_compute_log_manager", "class": "NoOpComputeLogManager"},
        "run_monitoring": {"enabled": True, "start_timeout_seconds": 300, "poll_interval_seconds": 120},
        "telemetry": {"enabled": True},
    }
