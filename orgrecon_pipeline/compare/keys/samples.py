"""A drifting key as it is shown."""

from __future__ import annotations

from collections.abc import Sequence

from orgrecon_pipeline.compare.statements import EntityStatements
from orgrecon_pipeline.domain.bounded_names import bounded_name
from orgrecon_pipeline.domain.evidence import Sample

#: The values of both sides by column, of the columns that differ.
Differing = dict[str, tuple[str | None, str | None]]


def sample_of(
    statements: EntityStatements, tenant: str, kind: str, key: Sequence[str], differing: Differing, *, with_values: bool
) -> Sample:
    """The sample of one key, given as text; ``differing`` counts for a mismatched one."""
    entity, mismatched = statements.entity, kind == "mismatched"
    values = differing if mismatched else {}
    return Sample(
        tenant=bounded_name(tenant), entity=statements.name, kind=kind,
        key={name: bounded_name(text) for name, text in zip(entity.key, key, strict=True)},
        # Each column alone can agree where only their combinations differ between several copies.
        columns=tuple(sorted(values)) or (entity.compare if mismatched else ()),
        values=values if with_values and values else None,
    )
