"""The kinds of drift, and figures per kind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from typing import Any, TypeVar


class DriftKind(str, Enum):
    """One way in which a key can drift. Tables and figures show the kinds in the order of this class.

    ``meaning`` is the explanation in the legend of a report.
    """

    meaning: str

    MISSING = "missing", "in the legacy model, not in v2.3"
    UNEXPECTED = "unexpected", "in v2.3, not in the legacy model"
    MISMATCHED = "mismatched", "in both, with different values"
    DUPLICATE = "duplicate", "in both, with more copies in one"

    def __new__(cls, value: str, meaning: str) -> DriftKind:
        kind = str.__new__(cls, value)
        kind._value_, kind.meaning = value, meaning
        return kind

    @property
    def heading(self) -> str:
        """The name of the kind at the top of a column."""
        return str(self.value).capitalize()


#: A figure; None where it is unknown.
Figure = TypeVar("Figure", bound="int | None", covariant=True)

_POSITIONS: Mapping[str, int] = {kind.value: position for position, kind in enumerate(DriftKind)}


class Counts(Mapping[str, Figure]):
    """An immutable figure per drift kind, usually a number of keys. The keys of this mapping are names of kinds.

    An unknown figure is None. A sum with an unknown summand is unknown.
    """

    __slots__ = ("_figures",)

    def __init__(self, figures: Mapping[str, Figure]) -> None:
        """Take the figure of every kind from ``figures``, which must hold all of them and may hold other keys too."""
        self._figures = tuple([figures[kind] for kind in _POSITIONS])

    @classmethod
    def zero(cls) -> Counts[int]:
        """Return 0 for every kind."""
        return Counts(dict.fromkeys(_POSITIONS, 0))

    @classmethod
    def unknown(cls) -> Counts[int | None]:
        """Return None for every kind."""
        return Counts(dict.fromkeys(_POSITIONS))

    @classmethod
    def of(cls, figures: Mapping[str, int | None]) -> Counts[int]:
        """Return the given figures, and 0 for a kind that has none or None; other keys are ignored."""
        return Counts({kind: figures.get(kind) or 0 for kind in _POSITIONS})

    @classmethod
    def sum(cls, counts: Iterable[Counts[Figure]]) -> Counts[Figure]:
        """Return the sum per kind, 0 if there are no summands."""
        by_kind = zip(*(each._figures for each in counts), strict=True)
        return Counts(dict.fromkeys(_POSITIONS, 0) | dict(zip(_POSITIONS, map(add_figures, by_kind), strict=False)))

    @property
    def total(self) -> Figure:
        """The sum over all kinds."""
        total: Figure = add_figures(self._figures)
        return total

    def __getitem__(self, kind: str) -> Figure:
        return self._figures[_POSITIONS[kind]]

    def __iter__(self) -> Iterator[str]:
        return iter(_POSITIONS)

    def __len__(self) -> int:
        return len(_POSITIONS)

    def __eq__(self, other: object) -> bool:
        return self._figures == other._figures if isinstance(other, Counts) else super().__eq__(other)

    def __hash__(self) -> int:
        return hash(self._figures)

    def __repr__(self) -> str:
        return f"Counts({dict(self)})"


def add_figures(figures: Iterable[Any]) -> Any:
    """Return the sum of the figures, None if one of them is None."""
    summands = list(figures)
    return None if None in summands else sum(summands)
