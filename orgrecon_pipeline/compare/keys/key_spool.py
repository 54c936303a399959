"""Spool of the drifting keys of a comparison, on disk: a comparison can find millions."""

from __future__ import annotations

import json
import os
import tempfile
import weakref
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from io import FileIO
from typing import Any

from orgrecon_pipeline.domain.drift.key import DriftingKey

# Keys that are written to disk at a time. Fewer keys stay in memory.
_CHUNK = 1_000


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
        for key in keys:
            spool.add(_from_json_value(key))
        return spool

    @classmethod
    def merged(cls, parts: Iterable[KeySpool], limit: int) -> KeySpool:
        """Return one spool of several."""
        spool = cls(limit)
        for part in parts:
            spool.drifting.update(part.drifting)
            spool._columns.update(part._columns)
            for key in part:
                spool._keep(key)
        return spool

    @property
    def complete(self) -> bool:
        """Whether all keys are kept."""
        return self.kept == self.drifting

    def facts(self) -> dict[str, Any]:
        """Return what the record stores: the number of keys, and of those that are not kept, by entity; by column."""
        by_column: dict[str, Counter[str]] = {}
        for (entity, columns), keys in self._columns.items():
            by_column.setdefault(entity, Counter()).update(dict.fromkeys(columns, keys))
        return {
            "keys": {name: {"drifting": keys, "left_out": keys - self.kept[name]}
                     for name, keys in sorted(self.drifting.items())},
            "mismatched_columns": {name: dict(sorted(columns.items()))
                                   for name, columns in sorted(by_column.items())},
        }

    def add(self, key: DriftingKey) -> None:
        """Add a key."""
        self.drifting[key.entity] += 1
        if key.columns:
            self._columns[key.entity, key.columns] += 1
        self._keep(key)

    def _keep(self, key: DriftingKey) -> None:
        if self._limit:
            self._limit -= 1
            self.kept[key.entity] += 1
            self._in_memory.append(key)
            if len(self._in_memory) == _CHUNK:
                self._move_to_disk()

    def __iter__(self) -> Iterator[DriftingKey]:
        """Yield the kept keys in the order in which they were added. No key may be added meanwhile."""
        if self._file is not None:
            with open(os.dup(self._file.fileno()), "rb") as lines:
                lines.seek(0)
                for _ in range(self._chunks):
                    yield from map(_from_json_value, json.loads(lines.readline()))
        yield from self._in_memory

    def _move_to_disk(self) -> None:
        line = memoryview(json.dumps(self._in_memory).encode() + b"\n")
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(buffering=0, prefix="orgrecon-keys-")  # noqa: SIM115
                weakref.finalize(self, self._file.close)
            while line:
                line = line[self._file.write(line):]
            self._chunks += 1
        except OSError:
            # Without disk space the verdict still stands: these keys and all later ones are only counted.
            self.kept.subtract(key.entity for key in self._in_memory)
            self._limit = 0
        self._in_memory.clear()


def _from_json_value(value: Sequence[Any]) -> DriftingKey:
    tenant, entity, key, kinds, columns = value
    return DriftingKey(tenant, entity, tuple(key), tuple(kinds), tuple(columns))
