"""Forms of a record in which two reports of a day are compared: as they are, or without the names of tenants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from orgrecon_pipeline.domain.canonical import canonical_json
from orgrecon_pipeline.domain.drift.kinds import DriftKind
from orgrecon_pipeline.domain.record import Record


@dataclass(frozen=True)
class ComparedRecord:
    """The observations by id, without what the day decides; and what a record has only of its deciding observation."""

    observations: dict[str, Any]
    details: tuple[Any, ...]


def as_compared(record: Record) -> ComparedRecord:
    """Return a record without sentences, which depend on the version."""
    return ComparedRecord(
        {row.id: row.model_copy(update={"decides": False, "reason": ""}) for row in record.observations},
        (_deciding(record), record.tenants, record.samples, record.compared))


def without_names(record: Record) -> ComparedRecord:
    """Return a record without sentences and without anything that a redaction changes.

    A pseudonym sorts elsewhere, so a report can list other clean tenants. Only the drifting ones are compared.
    """
    value = record.as_json_value()
    rows = [{**row, "tenant": ""} for row in value["tenants"] if any(row[kind.value] for kind in DriftKind)]
    samples = [{**sample, "tenant": "", "key": sorted(sample["key"]), "values": None, "show": None}
               for sample in value["samples"]]
    observations = {row["id"]: {**row, "decides": False, "reason": "", "change": _change(row["change"]),
                                "reason_parameters": _counted(row["reason_parameters"]),
                                "compared": _compared(row["compared"])} for row in value["observations"]}
    return ComparedRecord(observations, (
        _deciding(record), sorted(rows, key=canonical_json), samples, _compared(value["compared"])))


def _deciding(record: Record) -> str:
    return next(row.id for row in record.observations if row.decides)


def _change(change: dict[str, Any] | None) -> dict[str, Any] | None:
    return change and {**change, "oldest": {
        entity: oldest and {**oldest, "tenant": ""} for entity, oldest in change["oldest"].items()}}


def _compared(compared: dict[str, Any]) -> dict[str, Any]:
    return {**compared, "coverage": _counted(compared["coverage"])} if "coverage" in compared else compared


def _counted(value: Any) -> Any:
    """Return JSON values with the number of names instead of each list of names."""
    if isinstance(value, dict):
        return {name: _counted(part) for name, part in value.items()}
    return len(value) if isinstance(value, list) else value
