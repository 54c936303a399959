"""Keys that differ between a restored database and another one, for the tenants that differ in a reproduction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from orgrecon_pipeline.compare.engine import compare
from orgrecon_pipeline.compare.queries.row_filter import RowFilter
from orgrecon_pipeline.domain.databases import UNSHARDED
from orgrecon_pipeline.domain.drift.kinds import DriftKind
from orgrecon_pipeline.domain.errors import UsageError
from orgrecon_pipeline.domain.integrity.reproduction import TenantDifference
from orgrecon_pipeline.domain.mapping.model import MappingConfig
from orgrecon_pipeline.operations.context import Context, read_endpoint
from orgrecon_pipeline.operations.observe.shard_runner import Progress
from orgrecon_pipeline.postgres.dsn import Endpoint, Endpoints

# Differences whose keys are listed, and keys of each difference.
_DIFFERENCES, _KEYS = 20, 100
_ONLY_IN = {DriftKind.MISSING: "database", DriftKind.UNEXPECTED: "other"}


class DifferingKey(NamedTuple):
    """A key whose rows differ. ``where`` is ``database``, ``other`` (only there) or ``both`` (with other values)."""

    tenant: str
    entity: str
    side: str
    key: dict[str, str]
    where: str
    columns: tuple[str, ...]


def other_database(context: Context, variable: str) -> Endpoint:
    """Return the other database, which an environment variable names.

    Raises:
        UsageError: if the mapping has shards, or its sides are in two databases.
        ConfigurationError: if the variable is not set or is not a Postgres URL.
    """
    endpoints = context.endpoints()
    if endpoints.keys() != {UNSHARDED} or not endpoints[UNSHARDED].one_database:
        raise UsageError("--against needs both sides in one database: use orgrecon diff for the others.")
    return read_endpoint(context.environ, variable)


def differing_keys(
    context: Context, differences: Sequence[TenantDifference], other: Endpoint, progress: Progress
) -> Iterator[DifferingKey]:
    """Yield the keys of the first ``differences`` whose rows differ between the database and another one.

    Raises:
        CannotDecide: if the databases cannot be compared.
    """
    own = context.endpoints()[UNSHARDED]
    for difference in islice(differences, _DIFFERENCES):
        # Each side of an entity is compared with itself: the databases are the two sides.
        comparison = compare(
            _one_side(context.mapping, difference), Endpoints(own.source, other),
            only=RowFilter(difference.tenant), progress=progress)
        for sample in comparison.samples:
            yield DifferingKey(difference.tenant, difference.entity, difference.side, sample.key,
                               _ONLY_IN.get(sample.kind, "both"), sample.columns)


def _one_side(mapping: MappingConfig, difference: TenantDifference) -> MappingConfig:
    entity = mapping.entities[difference.entity]
    relations = getattr(entity, difference.side)
    return mapping.model_copy(update={
        "entities": {difference.entity: entity.model_copy(update={
            "source": relations, "target": relations, "show": ()})},
        "tenants": None, "scan": mapping.scan.model_copy(update={"rechecks": 0}),
        "report": mapping.report.model_copy(update={"sample_keys": _KEYS, "sample_values": False, "keep_keys": 0})})
