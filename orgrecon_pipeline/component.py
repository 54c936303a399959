"""The component that adds orgrecon to a company's own Dagster project: the public name of it."""

from orgrecon_pipeline.defs.component import OrgreconComponent

__all__ = ["OrgreconComponent"]
