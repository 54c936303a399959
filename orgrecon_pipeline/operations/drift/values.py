"""The current values of drifting keys, read live under the guards of a comparison."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import groupby, islice
from typing import TYPE_CHECKING, Any, ClassVar

from orgrecon_pipeline.config.settings import Settings
from orgrecon_pipeline.domain.errors import OrgreconError, UsageError
from orgrecon_pipeline.domain.evidence import Sample

if TYPE_CHECKING:
    from orgrecon_pipeline.operations.observe.shard_runner import Progress

#: The columns that are added: the kinds in which the key drifts now, values of its differing columns as
#: ``[source, target]``, and its context columns.
LIVE_COLUMNS = ("now", "values", "show")

# Each tenant of an entity is one comparison.
_MAX_COMPARISONS = 200
_MAX_KEYS = 100_000


class NotDecided(OrgreconError):
    """The current values could not be read."""

    exit_code: ClassVar[int] = 3


def with_current_values(
    rows: Iterator[dict[str, Any]], settings: Settings, progress: Progress = lambda line: None
) -> Iterator[dict[str, Any]]:
    """Yield the rows of drifting keys, which are ordered by entity and tenant, with :data:`LIVE_COLUMNS`.

    Raises:
        UsageError: if there are too many keys or tenants to read.
        ConfigurationError: if the mapping or the environment cannot be used.
        NotDecided: if a comparison cannot be completed.
    """
    keys = list(islice(rows, _MAX_KEYS + 1))  # the ledger is not kept open while databases are compared
    groups = [(entity, tenant, list(of_tenant))
              for (entity, tenant), of_tenant in groupby(keys, key=lambda row: (row["entity"], row["tenant"]))]
    if len(keys) > _MAX_KEYS or len(groups) > _MAX_COMPARISONS:
        raise UsageError(f"--values reads at most {_MAX_KEYS:,} keys, and {_MAX_COMPARISONS} tenants of an entity: "
                         "choose some with --tenant, --entity, --kind or --state.")
    for entity, tenant, of_tenant in groups:
        progress(f"{entity}: reading the current values of tenant {tenant!a}")
        samples = _current_drift(settings, entity, tenant)
        for row in of_tenant:
            now = samples.get(_identity_of(row["key"]), [])
            values = [sample.values for sample in now if sample.values]
            shown = [sample.show for sample in now if sample.show]
            yield {**row, "now": [sample.kind.value for sample in now],
                   "values": {name: list(pair) for name, pair in values[0].items()} if values else None,
                   "show": dict(shown[0]) if shown else None}


def _current_drift(settings: Settings, entity: str, tenant: str) -> dict[tuple[tuple[str, str], ...], list[Sample]]:
    """Return what differs now of a tenant, by key."""
    from orgrecon_pipeline.operations.diff import DiffRequest, diff  # slow to import, and drift rarely needs it

    result = diff(settings, DiffRequest(tenant, entity, values=True, limit=_MAX_KEYS))
    if result.comparison is None:
        raise NotDecided(f"the current values of {entity} of tenant {tenant!a} cannot be read: {result.reason}")
    samples: dict[tuple[tuple[str, str], ...], list[Sample]] = defaultdict(list)
    for sample in result.comparison.samples:
        samples[_identity_of(sample.key)].append(sample)
    return samples


def _identity_of(key: dict[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(key.items()))
