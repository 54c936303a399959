"""Public name of the component that adds orgrecon to a company's own Dagster project."""

from orgrecon_pipeline.defs.component import OrgreconComponent

__all__ = ["OrgreconComponent"]
