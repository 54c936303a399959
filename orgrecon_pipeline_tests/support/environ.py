"""The environment of processes that tests start."""

from __future__ import annotations

import os

from orgrecon_pipeline.demo.postgres_binaries import BINARIES_VARIABLE

_SETTINGS = ("ORGRECON_", "DATABASE_URL", "DAGSTER_", "PG")


def inherited_environ() -> dict[str, str]:
    """Return this process's environment without settings of orgrecon, Dagster and libpq, but with the server to run."""
    return {name: value for name, value in os.environ.items()
            if name == BINARIES_VARIABLE or not name.startswith(_SETTINGS)}
