"""Shared record of the writes and losses of all threads of a dual writer."""

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
    """One write; ``id`` is the same for both sides, ``entities`` names the entities of its rows."""

    id: str
    operation: str
    entities: frozenset[str]


class Observer(Protocol):
    """Receives every write, in the thread that writes; an application would count its metrics here."""

    def first_write(self, side: Side, write: Write) -> None:
        """Called when the first side is committed."""

    def second_write(self, side: Side, write: Write, *, ok: bool) -> None:
        """Called when the second side is committed, or, if not ``ok``, abandoned."""


class Tally:
    """Counts of writes and sets of lost keys; thread-safe."""

    def __init__(self, observer: Observer | None) -> None:
        self._observer = observer
        self._lock = threading.Lock()
        self._lost: set[DriftingKey] = set()
        self._possibly_lost: set[DriftingKey] = set()
        self._operations: Counter[str] = Counter()
        self._to_lose = 0
        self._failure: BaseException | None = None

    def lost(self) -> frozenset[DriftingKey]:
        """Return the keys whose second write was lost."""
        with self._lock:
            return frozenset(self._lost)

    def possibly_lost(self) -> frozenset[DriftingKey]:
        """Return the lost keys and those that are being lost."""
        with self._lock:
            return frozenset(self._possibly_lost)

    def operations(self) -> Mapping[str, int]:
        """Return the number of first writes by name of the operation."""
        with self._lock:
            return MappingProxyType(dict(self._operations))

    def lose_next(self, count: int) -> None:
        """Request the loss of the next ``count`` operations."""
        with self._lock:
            self._to_lose += count

    def take_requested_loss(self) -> bool:
        """Return whether a loss is requested; if so, count it as done."""
        with self._lock:
            if not self._to_lose:
                return False
            self._to_lose -= 1
            return True

    def announce_loss(self, keys: Iterable[DriftingKey]) -> None:
        """Record keys that will be lost; called before their first write."""
        with self._lock:
            self._possibly_lost.update(keys)

    def first_written(self, side: Side, write: Write) -> None:
        """Record that the first side is committed."""
        with self._lock:
            self._operations[write.operation] += 1
        if self._observer is not None:
            self._observer.first_write(side, write)

    def second_written(self, side: Side, write: Write, lost: Iterable[DriftingKey]) -> None:
        """Record that the second side is committed, or abandoned with the keys that drift from now on."""
        lost = frozenset(lost)
        with self._lock:
            self._lost |= lost
        if self._observer is not None:
            self._observer.second_write(side, write, ok=not lost)

    def fail(self, error: BaseException) -> None:
        """Store the first error of a thread."""
        with self._lock:
            self._failure = self._failure or error

    def raise_failure(self) -> None:
        """Raise the stored error once, in the caller's thread."""
        with self._lock:
            failure, self._failure = self._failure, None
        if failure is not None:
            raise failure
