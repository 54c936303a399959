"""Foreign text as GitHub Flavored Markdown that shows it, without any effect of its own.

Only a code span protects text from both the Markdown parser and GitHub's own processing (mentions, references to
issues and commits, emoji shortcodes, bare URLs, mathematics). So a name always becomes a code span, and so does every
word of a sentence that is not plainly a word. Neither form contains a line break or a pipe, so both fit into table
cells, quotes and paragraphs.

The characters to escape are a fixed list, because :mod:`unicodedata` differs between versions of Python and the same
record must give the same bytes on each of them.
"""

from __future__ import annotations

import re
from functools import lru_cache

# Characters that can reorder, hide or imitate text: controls, bidirectional controls, invisible or blank characters,
# surrogates and noncharacters. The emoji variation selector (U+FE0F) and private-use characters stay as they are.
_INVISIBLE = re.compile(
    "[\x00-\x1f\x7f-\xa0\xad\u034f\u061c\u070f\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f\u2000-\u200f\u2028-\u202f"
    "\u205f-\u206f\u2800\u3000\u3164\ud800-\udfff\ufdd0-\ufdef\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff"
    "\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
    + "".join(chr(plane * 0x10000 + last) for plane in range(1, 17) for last in (0xFFFE, 0xFFFF))
    + "]"
)

# Characters that would end a code span or a table cell. They are shown between code spans.
_BETWEEN = re.compile("([`|]+)")
_ENTITIES = str.maketrans({"`": "&#96;", "|": "&#124;"})

# Most names: characters that are visible, and that need nothing but the code span around them.
_PLAIN = re.compile("[!-_a-{}~]+")

# What every renderer takes for a plain word: letters with inner hyphens or apostrophes, numbers, dates and times, and
# versions such as v2.3.
_LETTERS = "A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u00ff"
_WORD = re.compile(
    rf"(?:[{_LETTERS}]+(?:[-'’][{_LETTERS}]+)*|v?[0-9]{{1,15}}(?:[.:-][0-9]{{1,15}})*%?|[–—…=/-]?)[)\"'”’.,;:!?…]*"
)
# Punctuation around a word. It is removed by index, because a pattern needs quadratic time for a long run of it.
_BEFORE, _AFTER = "(\"'“‘", ")\"'”’.,;:!?…"
# GitHub turns these into links: commit ids, and host names that start with www.
_LINKED = re.compile(r"\W*(?:[0-9a-f]{7,64}|www)\W*", re.IGNORECASE | re.ASCII)
# At the start of a line these begin a list, the underline of a heading, or a rule.
_BLOCK_START = re.compile(r"[0-9]{1,9}[.)]|[-–—=+]+")


def visible(text: str) -> str:
    """Return the text with every invisible character written as ``\\u202e`` or ``\\U000e0001``."""
    return _INVISIBLE.sub(_escape, text)


def code(text: str) -> str:
    """Return a name or a value as code spans."""
    if _PLAIN.fullmatch(text):
        return f"`{text}`"
    text = visible(text)
    if not text:
        return "(empty)"
    parts = _BETWEEN.split(text)
    return "".join(part.translate(_ENTITIES) if odd % 2 else _span(part) for odd, part in enumerate(parts) if part)


@lru_cache(maxsize=1024)  # the reports of a trail repeat most sentences
def prose(text: str) -> str:
    """Return a sentence with its plain words unchanged and everything else as code spans."""
    words = [word for word in visible(text).split(" ") if word]
    return " ".join(_word(word, first=not at) for at, word in enumerate(words)) or "(empty)"


def _escape(match: re.Match[str]) -> str:
    number = ord(match[0])
    return f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}"


def _span(part: str) -> str:
    # The parser removes one space from both ends if both have one and the span is not all spaces.
    padded = part.startswith(" ") and part.endswith(" ") and part.strip(" ")
    return f"` {part} `" if padded else f"`{part}`"


def _word(word: str, *, first: bool) -> str:
    bare = word.lstrip(_BEFORE)
    plain = _WORD.fullmatch(bare) and not _LINKED.fullmatch(word) and not (first and _BLOCK_START.match(word))
    if plain:
        return word
    odd = bare.rstrip(_AFTER)
    before, after = word[: len(word) - len(bare)], bare[len(odd) :]
    return f"{before}{code(odd)}{after}" if odd and not first else code(word)
