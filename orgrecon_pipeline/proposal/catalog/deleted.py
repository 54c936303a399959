"""Conditions that leave out deleted rows, guessed from the names and types of columns, and from a sample."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from orgrecon_pipeline.proposal.catalog.names import words
from orgrecon_pipeline.proposal.catalog.references import Side, Term
from orgrecon_pipeline.proposal.catalog.tables import Column, Table

#: Stands for the column in a condition.
COLUMN = "(column)"

_DELETED = {"deleted", "removed", "discarded", "trashed"}
_STATES = {"status", "state"}
# Words of columns that mark deleted rows if a sample agrees, and values of such marks, which may be written to a file.
_FLAGS = _DELETED | _STATES | {
    "del", "delete", "archived", "active", "inactive", "enabled", "disabled", "deactivated", "aktiv", "inaktiv",
    "geloescht", "gelöscht", "archiviert", "actif", "inactif", "supprime", "activo", "inactivo", "borrado", "eliminado"}
_MARKS = _FLAGS | {"true", "false", "t", "f", "y", "n", "yes", "no", "j", "ja", "nein", "0", "1", "x", "d"}
_MIN_GONE = 3


@dataclass(frozen=True)
class DeletedRows:
    """The term that marks deleted rows, and the condition that leaves them out.

    A row of a join table can be gone because the row to which it refers is deleted. The mark is ``sure`` if it can mean
    little else. ``evidence`` is what a sample says, if the name alone does not. A mark that ``says_more`` about other
    rows, as a status does, can be compared, too.
    """

    term: Term
    condition: str
    sure: bool
    evidence: str = ""
    says_more: bool = False

    @property
    def where(self) -> tuple[Term, str]:
        """The term and the condition, as :func:`write_relation` takes them."""
        return self.term, self.condition


@dataclass(frozen=True)
class PossibleMark:
    """A term that may mark deleted rows if a sample agrees, and its column."""

    term: Term
    column: Column


def deleted_rows(table: Table) -> DeletedRows | None:
    """Return how a table marks deleted rows; None if it does not seem to."""
    marks = [mark for column in table.columns if (mark := _mark(column))]
    return max(marks, key=lambda mark: mark.sure, default=None)


def possible_marks(side: Side, table: Table, others: Collection[int]) -> tuple[PossibleMark, ...]:
    """Return the terms that may mark deleted rows: columns of a table, then of those ``others`` to which it refers."""
    terms = [(table, ()), *((side.catalog.tables[reference.hop.table], (reference.hop,))
                            for reference in side.references[table.id] if reference.hop.table in others)]
    return tuple(PossibleMark(Term(column.name, hops), column) for holder, hops in terms for column in holder.columns
                 if set(words(column.name)) & _FLAGS)


def explain_gone(possible: PossibleMark, gone: Sequence[str | None], kept: Sequence[str | None]) -> DeletedRows | None:
    """Return the mark of deleted rows; None if it does not single out the rows that the other side lacks.

    Args:
        possible: the term that may mark them.
        gone: its values, as text, in sampled rows that the other side does not have.
        kept: its values in those that it has.
    """
    column = possible.column
    is_time = column.type.name.startswith(("timestamp", "date"))
    marks = Counter("" if is_time else value for value in gone if value is not None)
    [(mark, number)] = marks.most_common(1) or [("", 0)]
    of_kept = any(value is not None if is_time else value == mark for value in kept)
    if number < _MIN_GONE or 2 * number < len(gone) or not kept or of_kept or (mark and mark.lower() not in _MARKS):
        return None
    if is_time:
        condition = f"{COLUMN} IS NULL"
    elif column.type.name == "boolean":
        condition = f"{COLUMN} IS NOT {mark.upper()}"
    else:
        condition = f"{COLUMN}::text IS DISTINCT FROM '{mark}'"
    return DeletedRows(possible.term, condition, sure=True, says_more=len(set(kept)) > 1, evidence=(
        f"the other side has none of the {number} sampled rows that it leaves out"))


def _mark(column: Column) -> DeletedRows | None:
    parts = words(column.name)
    if set(parts) & _DELETED and len(parts) <= 2:
        if column.type.name == "boolean":
            return DeletedRows(Term(column.name), f"{COLUMN} IS NOT TRUE", sure=True)
        if column.nullable and column.type.name.startswith(("timestamp", "date")):
            return DeletedRows(Term(column.name), f"{COLUMN} IS NULL", sure=True)
    if parts[-1:] and parts[-1] in _STATES:
        for label in column.labels:
            if label.lower() in _DELETED:
                literal = label.replace("'", "''")
                return DeletedRows(Term(column.name), f"{COLUMN}::text IS DISTINCT FROM '{literal}'", sure=False,
                                   says_more=len(column.labels) > 2)
    return None
