"""Entry point that Dagster loads: the definitions for the environment of the process."""

from __future__ import annotations

import os

import dagster as dg

from orgrecon_pipeline.defs.build import build_definitions


@dg.definitions
def defs() -> dg.Definitions:
    """Build the definitions when Dagster asks for them."""
    return build_definitions(os.environ)
