"""The mapping of an observation, from what its record says was compared."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from orgrecon_pipeline.domain.errors import CannotDecide, ConfigurationError
from orgrecon_pipeline.domain.evidence import Observation
from orgrecon_pipeline.domain.mapping.model import COMPARISON_VERSION, MappingConfig


def mapping_as_compared(observation: Observation, at_hand: MappingConfig) -> MappingConfig:
    """Return the mapping of an observation, with the settings and databases of the mapping at hand.

    Raises:
        CannotDecide: if the observation does not have its whole mapping.
        ConfigurationError: if the mapping at hand lacks the databases of its shards.
    """
    if at_hand.digest == observation.mapping_digest:
        return at_hand
    version, stored = observation.compared.get("comparison_version"), observation.compared.get("mapping")
    if version != COMPARISON_VERSION:
        raise CannotDecide(
            f"the observation was made by version {version} of the comparison, and this is version "
            f"{COMPARISON_VERSION}: use orgrecon {observation.orgrecon_version}")
    with suppress(KeyError, TypeError, ValueError):  # a large mapping is not stored, and long SQL only in part
        mapping = _with_databases_of(at_hand, stored)
        if mapping.digest == observation.mapping_digest:
            return mapping
    raise CannotDecide(
        "the observation does not have the whole mapping, because its SQL is long or looks like a secret: name the "
        "mapping file of that day with --mapping")


def _with_databases_of(at_hand: MappingConfig, stored: Any) -> MappingConfig:
    shards = {shard.name: shard for shard in at_hand.shards}
    if missing := sorted(set(stored["shards"]) - shards.keys()):
        raise ConfigurationError(
            f"shard {missing[0]} was compared, but the mapping at hand has no shard of this name: add it to shards, so "
            "that it is known where its database is.")
    return MappingConfig.model_validate({
        "version": 1, "tenants": stored["tenants"], "entities": stored["entities"],
        "shards": [shards[name].model_dump() for name in stored["shards"]],
        "scan": at_hand.scan.model_dump(by_alias=True)})
