"""Whether everything that a comparison needs is in place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from orgrecon_pipeline.operations.context import Context
from orgrecon_pipeline.operations.database_findings import Finding, diagnose


@dataclass(frozen=True)
class Diagnosis:
    """All findings, in the order in which they were made."""

    findings: tuple[Finding, ...]

    @property
    def ready(self) -> bool:
        """Whether a comparison can be made."""
        return all(finding.level != "problem" for finding in self.findings)

    def warned(self, topic: str, texts: Iterable[str]) -> Diagnosis:
        """The same, with warnings of what no comparison needs."""
        return Diagnosis((*self.findings, *(Finding("warning", topic, text) for text in texts)))

    def as_json_value(self) -> dict[str, Any]:
        """The diagnosis as JSON values."""
        return {
            "ready": self.ready,
            "findings": [{"level": f.level, "topic": f.topic, "text": f.text} for f in self.findings],
        }


def examine_source(context: Context) -> Diagnosis:
    """Diagnose the database of the context.

    Raises:
        ConfigurationError: when the environment names no usable database.
    """
    return Diagnosis(tuple(
        replace(finding, topic=f"shard {name}: {finding.topic}") if name else finding
        for name, places in context.endpoints().items()
        for finding in diagnose(context.mapping, places)
    ))
