"""Names of what one component adds to a code location, and how its assets are recognised again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg

from orgrecon_pipeline.domain.identity import Identity

#: The assets, upstream first. The first four have one partition per day.
ASSETS = ("tenant_drift", "daily_summary", "rolling_window", "markdown_report", "drift_gate")

MIGRATION_TAG = "orgrecon/migration"
ENVIRONMENT_TAG = "orgrecon/environment"
ASSET_TAG = "orgrecon/asset"


@dataclass(frozen=True)
class ComponentNames:
    """Names for one identity below a prefix of asset keys, which is empty in the default code location.

    A company can rename assets and merge definitions after they were built. So nothing looks for an asset by the key
    that it was built with: the tags stay.
    """

    identity: Identity
    prefix: tuple[str, ...] = ()

    @property
    def tags(self) -> dict[str, str]:
        """Tags of every asset, job and run of the component."""
        return {MIGRATION_TAG: self.identity.migration, ENVIRONMENT_TAG: self.identity.environment}

    @property
    def resource(self) -> str:
        """Key of the component's resource."""
        return f"orgrecon_{identifier(self.identity.slug)}"

    @property
    def pool(self) -> str:
        """Pool that limits the comparisons of the identity."""
        return f"orgrecon_{self.identity.slug}"

    def key(self, asset: str) -> dg.AssetKey:
        """Return the key that an asset is built with."""
        return dg.AssetKey([*self.prefix, asset])

    def op(self, asset: str) -> str:
        """Return the name of the op that computes an asset."""
        return self.key(asset).to_python_identifier()

    def name(self, base: str) -> str:
        """Return the name of a job, schedule or sensor, as in ``org_v23_prod_reconcile_day``."""
        return identifier("_".join((*self.prefix, base)))

    def asset_tags(self, asset: str) -> dict[str, str]:
        """Return the tags of one of :data:`ASSETS`."""
        return {**self.tags, ASSET_TAG: asset}

    def selection(self, asset: str | None = None) -> dg.AssetSelection:
        """Select one of the component's assets, or all of them."""
        tags = self.asset_tags(asset) if asset else self.tags
        first, *rest = (dg.AssetSelection.tag(name, value) for name, value in tags.items())
        for selection in rest:
            first = first & selection
        return first

    def keys(self, context: Any) -> dict[str, dg.AssetKey]:
        """Return the current keys of the component's assets, as the context of a run, schedule or sensor knows them.

        A run in this process knows no repository, but only the assets of its job.
        """
        built = {asset: self.key(asset) for asset in ASSETS}
        return {**built, **_tagged(_asset_graph(context), self.tags)}


def identifier(text: str) -> str:
    """Return the text as Dagster accepts it in names of ops, jobs and resources."""
    return text.replace("-", "_")


def _asset_graph(context: Any) -> Any:
    try:
        repository = context.repository_def
    except Exception:  # Dagster raises an internal error if there is none
        repository = None
    return repository.asset_graph if repository is not None else context.job_def.asset_layer.asset_graph


def _tagged(graph: Any, tags: Mapping[str, str]) -> dict[str, dg.AssetKey]:
    return {node.tags[ASSET_TAG]: node.key for node in graph.asset_nodes
            if ASSET_TAG in node.tags and tags.items() <= node.tags.items()}
