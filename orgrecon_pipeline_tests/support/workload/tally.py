"""What the threads of a dual writer have done, and what they tell whoever counts it."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, Protocol

from orgrecon_pipeline.demo.faults import DriftingKey

Side = Literal["legacy", "v2_3"]


@dataclass(frozen=True)
class Write:
    """One change of the application: ``id`` is the same for both sides, ``entities`` are those that have rows in it."""

    id: str
    operation: str
    entities: frozenset[str]


class Observer(Protocol):
    """Is told about every write, from the threads that write; the place where an application counts its metrics."""

    def first_write(self, side: Side, write: Write) -> None:
        """The first side was written and committed."""

    def second_write(self, side: Side, write: Write, *, ok: bool) -> None:
        """The second side was written too, or, when not ``ok``, given up."""


class Tally:
    """Shared by the threads of all workers; everything in it is safe to call from any of them."""

    def __init__(self, observer: Observer | None) -> None:
        self._observer = observer
        self._lock = threading.Lock()
        self._lost: set[DriftingKey] = set()
        self._possibly_lost: set[DriftingKey] = set()
        self._operations: Counter[str] = Counter()
        self._to_lose = 0
        self._failure: BaseException | None = None

    def lost(self) -> frozenset[DriftingKey]:
        """What drifts for good."""
        with self._lock:
            return frozenset(self._lost)

    def possibly_lost(self) -> frozenset[DriftingKey]:
        """What drifts for good, or is about to."""
        with self._lock:
            return frozenset(self._possibly_lost)

    def operations(self) -> Mapping[str, int]:
        """First writes by the name of the operation."""
        with self._lock:
            return MappingProxyType(dict(self._operations))

    def lose_next(self, count: int) -> None:
        """Asks for the loss of the next operations."""
        with self._lock:
            self._to_lose += count

    def is_to_be_lost(self) -> bool:
        """Whether the operation at hand was asked to be lost."""
        with self._lock:
            if not self._to_lose:
                return False
            self._to_lose -= 1
            return True

    def losing(self, drifts: Iterable[DriftingKey]) -> None:
        """Comes before the first write of what will be lost."""
        with self._lock:
            self._possibly_lost.update(drifts)

    def first_written(self, side: Side, write: Write) -> None:
        """The first side is committed."""
        with self._lock:
            self._operations[write.operation] += 1
        if self._observer is not None:
            self._observer.first_write(side, write)

    def second_written(self, side: Side, write: Write, lost: Iterable[DriftingKey]) -> None:
        """The second side is committed, or given up with what drifts from now on."""
        lost = frozenset(lost)
        with self._lock:
            self._lost |= lost
        if self._observer is not None:
            self._observer.second_write(side, write, ok=not lost)

    def fail(self, error: BaseException) -> None:
        """Keeps the first failure of a thread."""
        with self._lock:
            self._failure = self._failure or error

    def raise_failure(self) -> None:
        """Raises that failure, once, in the caller's thread."""
        with self._lock:
            failure, self._failure = self._failure, None
        if failure is not None:
            raise failure
