"""Fingerprints of the rows of a snapshot, with which other rows can be compared: numbers of rows and hash sums.

docs/record.md documents the root, the hash over all fingerprints of a snapshot.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import zlib
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from orgrecon_pipeline.domain.canonical import canonical_json, sha256_of
from orgrecon_pipeline.domain.mapping.model import SIDES
from orgrecon_pipeline.domain.tenant_names import TenantNames

#: Sums of 64-bit hashes are kept modulo this number.
MODULUS = 2**64

_ROWS = "rows"
# Bytes of names that are hashed at once, to keep few of them in memory.
_PART = 2**20
# The placeholder of a removed name, with the SHA-256 of that name.
_REMOVED = re.compile(rb"redacted-[0-9a-f]+\x01([0-9a-f]{64})")


@dataclass(frozen=True, repr=False)
class SideFigures:
    """Figures of one side of an entity, in the order of the tenants: ``rows``, and a hash sum for each method."""

    figures: Mapping[str, array[int]]

    @property
    def rows(self) -> array[int]:
        """Number of rows of each tenant."""
        return self.figures[_ROWS]

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods of the hash sums."""
        return tuple(sorted(self.figures.keys() - {_ROWS}))

    @classmethod
    def of(cls, rows: Sequence[int], sums: Mapping[str, Sequence[int]]) -> SideFigures:
        """Return the figures with these sums by method."""
        return cls({name: array("Q", numbers) for name, numbers in {_ROWS: rows, **sums}.items()})

    def replaced(self, positions: Sequence[int], others: Mapping[str, Sequence[int]]) -> SideFigures:
        """Return a copy with other figures at some positions."""
        figures = {name: array("Q", numbers) for name, numbers in self.figures.items()}
        for name, numbers in others.items():
            for position, number in zip(positions, numbers, strict=True):
                figures[name][position] = number
        return SideFigures(figures)


@dataclass(frozen=True)
class SnapshotFingerprints:
    """Fingerprints of one snapshot, or of the two snapshots of two databases.

    Attributes:
        seed: the seed of the row hash.
        probe: the native hash of a fixed row, and the encoding of the server; None without native hashes.
        tenants: tenants with a row on either side.
        sides: the figures by entity and side; one object for both sides if they agree.
    """

    seed: int
    probe: str | None
    tenants: TenantNames
    sides: Mapping[str, Mapping[str, SideFigures]]

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods of the hash sums."""
        return next(iter(self.sides.values()))["source"].methods

    @cached_property
    def tenants_digest(self) -> str:
        """The SHA-256 of the tenants."""
        return names_digest(self.tenants.packed)

    @cached_property
    def root(self) -> str:
        """The SHA-256 of all fingerprints."""
        return sha256_of({"tenants": self.tenants_digest, "entities": {
            name: {side: self._digests[name, side] for side in SIDES} for name in self.sides}})

    @cached_property
    def _digests(self) -> dict[tuple[str, str], dict[str, str]]:
        digests: dict[tuple[str, str], dict[str, str]] = {}
        for name, by_side in self.sides.items():
            for side in SIDES:
                equal = side != SIDES[0] and by_side[side] is by_side[SIDES[0]]
                digests[name, side] = digests[name, SIDES[0]] if equal else {
                    figure: hashlib.sha256(_big_endian(numbers)).hexdigest()
                    for figure, numbers in by_side[side].figures.items()}
        return digests

    def facts(self) -> dict[str, Any]:
        """Return what the record stores. The seed is text, because JSON parsers round large numbers."""
        return {"root": self.root, "methods": list(self.methods), "seed": str(self.seed), "probe": self.probe,
                "tenants": len(self.tenants)}

    def pack(self) -> bytes:
        """Return everything except the tenants in a compact form: the second side only where it differs."""
        sections: list[bytes] = []
        header = {"seed": str(self.seed), "probe": self.probe, "methods": self.methods, "entities": list(self.sides)}
        for by_side in self.sides.values():
            source, target = (by_side[side] for side in SIDES)
            positions = _differing(source, target)
            sections += [_packed(numbers) for _, numbers in sorted(source.figures.items())]
            sections.append(_packed(positions))
            sections += [_packed(array("Q", (numbers[position] for position in positions)))
                         for _, numbers in sorted(target.figures.items())]
        head = canonical_json({**header, "sections": [len(section) for section in sections]})
        return b"".join([head.encode(), b"\n", *sections])

    @classmethod
    def unpack(cls, packed: bytes, tenants: TenantNames) -> SnapshotFingerprints:
        """Return the fingerprints that :meth:`pack` packed; raise ValueError if the bytes are not from there."""
        try:
            return cls._unpack(packed, tenants)
        except (ValueError, LookupError, TypeError, AttributeError, StopIteration, RecursionError, zlib.error) as error:
            raise ValueError(f"not packed fingerprints: {error}") from None

    @classmethod
    def _unpack(cls, packed: bytes, tenants: TenantNames) -> SnapshotFingerprints:
        head, _, body = packed.partition(b"\n")
        header, start = json.loads(head), 0
        sections = []
        for length in header["sections"]:
            sections.append(_unpacked(body[start : start + length]))
            start += length
        remaining = iter(sections)
        names = sorted((_ROWS, *header["methods"]))
        sides = {}
        for entity in header["entities"]:
            source = SideFigures({name: next(remaining) for name in names})
            positions = next(remaining)
            others = {name: next(remaining) for name in names}
            sides[entity] = {"source": source, "target": source.replaced(positions, others) if positions else source}
        return cls(int(header["seed"]), header["probe"], tenants, sides)


def names_digest(packed: bytes) -> str:
    """Return the SHA-256 of the tenants of :attr:`TenantNames.packed`: of the SHA-256 of each name, in their order."""
    whole, sha256, start = hashlib.sha256(), hashlib.sha256, 0
    while start < len(packed):
        end = packed.index(b"\0", min(start + _PART, len(packed) - 1))
        names = packed[start:end].split(b"\0")
        # A call for each name would take longer than its hash.
        digests = map(name_digest, names) if b"\x01" in packed else [sha256(name).digest() for name in names]
        whole.update(b"".join(digests))
        start = end + 1
    return whole.hexdigest()


def name_digest(name: bytes) -> bytes:
    """Return the SHA-256 of a name in UTF-8. A name that was removed keeps the SHA-256 of the original name."""
    return removed_digest(name) or hashlib.sha256(name).digest()


def removed_name(name: bytes, pseudonym: str) -> bytes:
    """Return the placeholder of a removed name."""
    return pseudonym.encode() + b"\x01" + hashlib.sha256(name).hexdigest().encode()


def removed_digest(name: bytes) -> bytes | None:
    """Return the SHA-256 of the original name if the name was removed, else None."""
    removed = _REMOVED.fullmatch(name) if b"\x01" in name else None
    return bytes.fromhex(removed[1].decode()) if removed else None


def _differing(source: SideFigures, target: SideFigures) -> array[int]:
    if source.figures == target.figures:
        return array("Q")
    pairs = [zip(source.figures[name], target.figures[name], strict=True) for name in source.figures]
    return array("Q", sorted({
        position for pair in pairs for position, (one, other) in enumerate(pair) if one != other}))


def _big_endian(numbers: array[int]) -> bytes:
    ordered = array("Q", numbers)
    if sys.byteorder == "little":
        ordered.byteswap()
    return ordered.tobytes()


def _packed(numbers: array[int]) -> bytes:
    # Hash sums do not get smaller, and trying takes long. Numbers of rows do.
    whole = _big_endian(numbers)
    if len(zlib.compress(whole[:4096], 1)) > len(whole[:4096]) * 0.9:
        return b"r" + whole
    return b"z" + zlib.compress(whole, 1)


def _unpacked(section: bytes) -> array[int]:
    kind, content = section[:1], section[1:]
    if kind not in (b"r", b"z"):
        raise ValueError("not a section of packed fingerprints")
    numbers = array("Q", zlib.decompress(content) if kind == b"z" else content)
    if sys.byteorder == "little":
        numbers.byteswap()
    return numbers
