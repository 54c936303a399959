"""Text that comes from elsewhere, as GitHub Flavored Markdown that shows it and does nothing else.

Code spans are the only place where neither the Markdown parser nor what GitHub runs after it (mentions, issue and
commit references, emoji shortcodes, bare URLs, mathematics) touches a text. So a name always is a code span, and of a
sentence every word that could be anything but a word. Both forms hold no line break and no pipe, and so fit into a
table cell, a quote and a paragraph alike.

Which characters are shown as escapes is a fixed list rather than :mod:`unicodedata`: that differs between versions of
Python, and the same record must give the same bytes on every one.
"""

from __future__ import annotations

import re

# Controls, bidirectional controls, invisible or blank-looking characters, surrogates and noncharacters: what could
# reorder, hide or imitate. Emoji's variation selector (U+FE0F) and private use are left alone.
_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\xa0\xad\u034f\u061c\u070f\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f\u2000-\u200f\u2028-\u202f"
    "\u205f-\u206f\u2800\u3000\u3164\ud800-\udfff\ufdd0-\ufdef\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff"
    "\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
    + "".join(chr(plane * 0x10000 + last) for plane in range(1, 17) for last in (0xFFFE, 0xFFFF))
    + "]"
)

# What cannot stand in a code span of a table cell: it ends the span or the cell. Shown beside the span.
_BETWEEN = re.compile("([`|]+)")
_ENTITIES = str.maketrans({"`": "&#96;", "|": "&#124;"})

# Words that are words to every renderer: letters with inner hyphens or apostrophes, and figures, dates and times.
_LETTERS = "A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u00ff"
_WORD = re.compile(
    rf"(?:[{_LETTERS}]+(?:[-'’][{_LETTERS}]+)*|[0-9]{{1,15}}(?:[.:-][0-9]{{1,15}})*%?|[–—…=/-]?)[)\"'”’.,;:!?…]*"
)
# What stands around a word and is no part of it. Taken off by index: a pattern would look at a long run of these again
# from each of its characters.
_BEFORE, _AFTER = "(\"'“‘", ")\"'”’.,;:!?…"
# A commit of the repository would become a link, and so would a host name that begins like one.
_LINKED = re.compile(r"\W*(?:[0-9a-f]{7,64}|www)\W*", re.IGNORECASE | re.ASCII)
# At the beginning of a line these start a list, a heading's underline or a rule.
_BLOCK_START = re.compile(r"[0-9]{1,9}[.)]|[-–—=+]+")


def visible(text: str) -> str:
    """The text with every character that cannot be seen as ``\\u202e`` (or ``\\U000e0001``)."""
    return _UNSEEN.sub(_escape, text)


def code(text: str) -> str:
    """A name or a value: the text itself, as code."""
    text = visible(text)
    if not text:
        return "(empty)"
    parts = _BETWEEN.split(text)
    return "".join(part.translate(_ENTITIES) if odd % 2 else _span(part) for odd, part in enumerate(parts) if part)


def prose(text: str) -> str:
    """A sentence: its words as they are, everything else in it as code."""
    words = [word for word in visible(text).split(" ") if word]
    return " ".join(_word(word, first=not at) for at, word in enumerate(words)) or "(empty)"


def _escape(match: re.Match[str]) -> str:
    number = ord(match[0])
    return f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}"


def _span(part: str) -> str:
    # The parser takes one space off each end when both have one, and the span is not all spaces.
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
