"""Conditions that leave out deleted rows, guessed from the names and types of columns."""

from __future__ import annotations

from dataclasses import dataclass

from orgrecon_pipeline.proposal.catalog.names import words
from orgrecon_pipeline.proposal.catalog.tables import Column, Table

#: Stands for the column in a condition.
COLUMN = "(column)"

_DELETED = {"deleted", "removed", "discarded", "trashed"}
_STATES = {"status", "state"}


@dataclass(frozen=True)
class DeletedRows:
    """A column that marks deleted rows, and the condition that leaves them out; ``sure`` if it can mean little else."""

    column: str
    condition: str
    sure: bool

    @property
    def where(self) -> tuple[str, str]:
        """The column and the condition, as :func:`write_relation` takes them."""
        return self.column, self.condition


def deleted_rows(table: Table) -> DeletedRows | None:
    """Return how a table marks deleted rows; None if it does not seem to."""
    marks = [mark for column in table.columns if (mark := _mark(column))]
    return max(marks, key=lambda mark: mark.sure, default=None)


def _mark(column: Column) -> DeletedRows | None:
    parts = words(column.name)
    if set(parts) & _DELETED and len(parts) <= 2:
        if column.type.name == "boolean":
            return DeletedRows(column.name, f"{COLUMN} IS NOT TRUE", sure=True)
        if column.nullable and column.type.name.startswith(("timestamp", "date")):
            return DeletedRows(column.name, f"{COLUMN} IS NULL", sure=True)
    if parts[-1:] and parts[-1] in _STATES:
        for label in column.labels:
            if label.lower() in _DELETED:
                literal = label.replace("'", "''")
                return DeletedRows(column.name, f"{COLUMN}::text IS DISTINCT FROM '{literal}'", sure=False)
    return None
