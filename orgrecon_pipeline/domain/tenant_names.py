"""A sorted set of names that takes little more room than their letters: there can be a million tenants."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from heapq import merge
from itertools import chain, groupby
from operator import sub
from re import finditer

_END = b"\0"


@dataclass(frozen=True, repr=False)
class TenantNames:
    """Different names in the order of their code points, which is that of their bytes in UTF-8.

    ``packed`` holds them in UTF-8, each ended by a NUL, which no text of PostgreSQL contains. Sets that are equal have
    equal bytes, and so are compared, united and subtracted in no time.
    """

    packed: bytes = b""

    @classmethod
    def of(cls, names: Iterable[str]) -> TenantNames:
        """The set of any names, in any order."""
        return cls.ascending(sorted(set(names)))

    @classmethod
    def ascending(cls, names: Iterable[str]) -> TenantNames:
        """The set of names that come sorted and once each; none of them is held."""
        packed = bytearray()
        for name in names:
            packed += name.encode("utf-8", "surrogatepass") + _END
        return cls(bytes(packed))

    def __len__(self) -> int:
        return len(self._ends)

    def __iter__(self) -> Iterator[str]:
        start = 0
        for end in self._ends:
            yield self.packed[start:end].decode("utf-8", "surrogatepass")
            start = end + 1

    def __getitem__(self, place: int) -> str:
        if not 0 <= place < len(self._ends):
            raise IndexError(place)
        start = self._ends[place - 1] + 1 if place else 0
        return self.packed[start : self._ends[place]].decode("utf-8", "surrogatepass")

    def __contains__(self, name: str) -> bool:
        return self.place(name) is not None

    def __repr__(self) -> str:
        return f"TenantNames({len(self)})"

    @property
    def longest(self) -> int:
        """Bytes of the longest name."""
        return max(map(sub, self._ends, chain((-1,), self._ends)), default=1) - 1

    @cached_property
    def _ends(self) -> array[int]:
        return array("q", (found.start() for found in finditer(_END, self.packed)))

    def place(self, name: str) -> int | None:
        """How many names come before this one; None when it is not there."""
        place = bisect_left(self, name)
        return place if place < len(self) and self[place] == name else None

    def union(self, *others: TenantNames) -> TenantNames:
        """The names of all."""
        different = [other for other in others if other and other != self]
        if not different:
            return self
        if not self:
            return different[0].union(*different[1:])
        return TenantNames.ascending(name for name, _ in groupby(merge(self, *different)))

    def without(self, other: TenantNames) -> TenantNames:
        """Those of these names that the other set does not have."""
        if self == other:
            return TenantNames()
        return TenantNames.ascending(self._without(other))

    def _without(self, other: TenantNames) -> Iterator[str]:
        theirs = iter(other)
        their = next(theirs, None)
        for name in self:
            while their is not None and their < name:
                their = next(theirs, None)
            if name != their:
                yield name
