"""Encodings of databases: which text they can hold, and how they sort it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

# Python's names of PostgreSQL's single-byte encodings, which lack some characters of UTF-8.
_CODECS = {
    **{f"LATIN{number}": f"iso8859-{part}" for number, part in enumerate((1, 2, 3, 4, 9, 10, 13, 14, 15, 16), start=1)},
    **{f"ISO_8859_{part}": f"iso8859-{part}" for part in range(5, 9)},
    **{f"WIN{page}": f"cp{page}" for page in range(1250, 1259)},
    "KOI8R": "koi8-r", "KOI8U": "koi8-u",
}
_SORTED_AS_UTF8 = {"UTF8", "SQL_ASCII", "LATIN1"}


@dataclass(frozen=True)
class Encoding:
    """Encoding of a database, by PostgreSQL's name."""

    name: str

    @property
    def sorts_as_utf8(self) -> bool:
        """Whether collation "C" sorts text in the order of its UTF-8 bytes. Sorting by those bytes takes longer."""
        return self.name in _SORTED_AS_UTF8

    def expressible(self, texts: Iterable[str]) -> list[str]:
        """Return the texts that this encoding can represent. The server rejects a statement with any other text."""
        codec = _CODECS.get(self.name)
        return [text for text in texts if not codec or text == text.encode(codec, "ignore").decode(codec)]
