"""Spool of the drifting keys of a comparison, on disk: a comparison can find millions."""

from __future__ import annotations

import os
import pickle
import tempfile
import weakref
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from io import FileIO
from itertools import islice
from operator import attrgetter
from typing import Any

from orgrecon_pipeline.domain.drift.key import DriftingKey

#: Keys that are written to disk at a time. Fewer keys stay in memory.
CHUNK = 1_000

_entity, _entity_and_columns = attrgetter("entity"), attrgetter("entity", "columns")


class KeySpool:
    """Keeps the first ``limit`` keys that are added, and counts all.

    Attributes:
        drifting: the number of keys by entity.
        kept: the number of kept keys by entity.
    """

    def __init__(self, limit: int) -> None:
        self.drifting: Counter[str] = Counter()
        self.kept: Counter[str] = Counter()
        self._columns: Counter[tuple[str, tuple[str, ...]]] = Counter()
        self._limit = limit
        self._in_memory: list[DriftingKey] = []
        self._chunks = 0
        self._file: FileIO | None = None

    @classmethod
    def of(cls, keys: Sequence[Sequence[Any]]) -> KeySpool:
        """Return a spool of all the given keys, each of which may be JSON values."""
        spool = cls(len(keys))
        spool.add([_from_json_value(key) for key in keys])
        return spool

    @classmethod
    def merged(cls, parts: Iterable[KeySpool], limit: int) -> KeySpool:
        """Return one spool of several."""
        spool = cls(limit)
        for part in parts:
            spool.drifting.update(part.drifting)
            spool._columns.update(part._columns)
            kept = iter(part)
            while keys := list(islice(kept, CHUNK)):
                spool._keep(keys)
        return spool

    @property
    def complete(self) -> bool:
        """Whether all keys are kept."""
        return self.kept == self.drifting

    def facts(self) -> dict[str, Any]:
        """Return what the record stores: the number of keys, and of those that are not kept, by entity; by column."""
        by_column: dict[str, Counter[str]] = {}
        for (entity, columns), keys in self._columns.items():
            if columns:
                by_column.setdefault(entity, Counter()).update(dict.fromkeys(columns, keys))
        return {
            "keys": {name: {"drifting": keys, "left_out": keys - self.kept[name]}
                     for name, keys in sorted(self.drifting.items())},
            "mismatched_columns": {name: dict(sorted(columns.items()))
                                   for name, columns in sorted(by_column.items())},
        }

    def add(self, keys: Sequence[DriftingKey]) -> None:
        """Add some keys."""
        self.drifting.update(map(_entity, keys))
        self._columns.update(map(_entity_and_columns, keys))
        self._keep(keys)

    def _keep(self, keys: Sequence[DriftingKey]) -> None:
        kept = keys[: self._limit]
        self._limit -= len(kept)
        self.kept.update(map(_entity, kept))
        self._in_memory += kept
        while len(self._in_memory) >= CHUNK:
            self._move_to_disk()

    def __iter__(self) -> Iterator[DriftingKey]:
        """Yield the kept keys in the order in which they were added. No key may be added meanwhile."""
        if self._file is not None:
            with open(os.dup(self._file.fileno()), "rb") as file:
                file.seek(0)
                for _ in range(self._chunks):
                    # JSON takes three times as long. Nobody else can write to this file, which has no name.
                    yield from map(DriftingKey._make, pickle.load(file))  # noqa: S301
        yield from self._in_memory

    def _move_to_disk(self) -> None:
        # As plain tuples, which are pickled without their class.
        pickled = memoryview(pickle.dumps([tuple(key) for key in self._in_memory[:CHUNK]], pickle.HIGHEST_PROTOCOL))
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(buffering=0, prefix="orgrecon-keys-")  # noqa: SIM115
                weakref.finalize(self, self._file.close)
            while pickled:
                pickled = pickled[self._file.write(pickled):]
            self._chunks += 1
            del self._in_memory[:CHUNK]
        except OSError:
            # Without disk space the verdict still stands: these keys and all later ones are only counted.
            self.kept.subtract(map(_entity, self._in_memory))
            self._limit = 0
            self._in_memory.clear()


def _from_json_value(value: Sequence[Any]) -> DriftingKey:
    tenant, entity, key, kinds, columns = value
    return DriftingKey(tenant, entity, tuple(key), tuple(kinds), tuple(columns))
