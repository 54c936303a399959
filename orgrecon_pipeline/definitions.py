"""The Dagster entry point."""

from __future__ import annotations

import os

import dagster as dg

from orgrecon_pipeline.defs.build import build_definitions


@dg.definitions
def defs() -> dg.Definitions:
    """Built when Dagster asks for them, from the environment of the process that asks."""
    return build_definitions(os.environ)
