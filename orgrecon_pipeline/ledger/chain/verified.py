"""The links of a chain that follow each other, and the content that each of them has after the later redactions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, select

from orgrecon_pipeline.domain.integrity.chain import LinkEntry, Part
from orgrecon_pipeline.ledger import tables
from orgrecon_pipeline.ledger.chain.content import REDACTABLE


@dataclass
class VerifiedChain:
    """The links up to the first that does not follow its predecessor, in order.

    Attributes:
        links: each stored row with its entry.
        expected: the content of each link by its position: as the entry says, or as the last redaction left it.
        refused: sentences about what a redaction must not change, by its position.
        broken: why the next link does not follow the last one; empty if there is no other link.
    """

    links: list[tuple[Any, LinkEntry]] = field(default_factory=list)
    expected: dict[int, dict[str, Part]] = field(default_factory=dict)
    refused: dict[int, list[str]] = field(default_factory=dict)
    broken: str = ""

    def add(self, connection: Connection, row: Any, entry: LinkEntry) -> None:
        """Add the next link; if it is a redaction, apply it to the content of the earlier ones."""
        self.links.append((row, entry))
        self.expected[row.position] = dict(entry.content)
        if entry.kind == "redaction":
            self._redact(connection, row)

    def _redact(self, connection: Connection, row: Any) -> None:
        table = tables.redacted_part
        for change in connection.execute(select(table).where(table.c.redaction == row.subject).order_by(
                table.c.position, table.c.part)):
            part = self.expected.get(change.position, {}).get(change.part)
            if part is None or change.part not in REDACTABLE or part.sha256 != change.before:
                self.refused.setdefault(row.position, []).append(
                    f"link {row.position}: the redaction says that it changed {change.part} of link {change.position}, "
                    "which did not have this content, or must never change.")
            else:  # It never adds or removes rows. An edited digest is not validated: it matches nothing.
                self.expected[change.position][change.part] = Part.model_construct(rows=part.rows, sha256=change.after)
