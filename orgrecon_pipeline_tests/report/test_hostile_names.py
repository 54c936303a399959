"""Hostile names: GitHub's own renderer shows them unchanged, and nothing else happens."""

from __future__ import annotations

import re
import sys
import time
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from orgrecon_pipeline.report.page.markdown import code, prose, visible
from orgrecon_pipeline.report.render import render
from orgrecon_pipeline_tests.support.report.cases import HOSTILE_NAMES, hostile_record
from orgrecon_pipeline_tests.support.report.gfm import page

ALLOWED = {"h1", "h2", "blockquote", "p", "strong", "em", "ul", "li", "table", "thead", "tbody", "tr", "th", "td",
           "code", "pre"}

# Text that GitHub processes after rendering, unless it is in code.
ACTIVE = re.compile(
    r"@\w|#[0-9]|(?i:\bgh-[0-9])|:[A-Za-z0-9_+-]+:|\$\S|://|(?i:www\.)"
    r"|\b(?=[0-9]*[a-f])(?=[a-f]*[0-9])[0-9a-f]{7,40}\b"
)

pieces = st.sampled_from(HOSTILE_NAMES) | st.sampled_from(list("`|\\ <>&[]()!*_~#@:$-+=.\n\r\t\"'{}%^")) | st.text(
    st.characters(blacklist_categories=["Cs"]), max_size=4
)
names = st.lists(pieces, max_size=8).map("".join)


def cell(markdown: str) -> tuple[str, set[str], str]:
    """Render text as the middle one of three cells; return its text, its elements, and its text outside of code."""
    shown = page(f"| a | b | c |\n| --- | --- | --- |\n| 1 | {markdown} | 3 |\n| x | y | z |\n\nafter\n")
    assert [len(cells) for cells in shown.tables[0]] == [3, 3, 3]
    assert [shown.tables[0][1][0], shown.tables[0][1][2], *shown.tables[0][2]] == ["1", "3", "x", "y", "z"]
    return shown.tables[0][1][1], set(shown.tags) - {"table", "thead", "tbody", "tr", "th", "td", "p"}, shown.plain


def with_hostile_names(test: object) -> object:
    for name in HOSTILE_NAMES:
        test = example(name)(test)  # type: ignore[arg-type]
    return test


@with_hostile_names
@given(names)
@settings(max_examples=200)
def test_code_shows_a_name_unchanged(name: str) -> None:
    text, elements, plain = cell(code(name))
    assert text == (visible(name) or "(empty)")
    assert elements <= {"code"}
    assert not ACTIVE.search(plain)


@with_hostile_names
@given(names)
@settings(max_examples=200)
def test_prose_shows_a_sentence_unchanged_except_for_repeated_spaces(name: str) -> None:
    for sentence in (name, f"coverage lost: {name} and 'a {name}' are gone."):
        wanted = " ".join(word for word in visible(sentence).split(" ") if word) or "(empty)"
        text, elements, plain = cell(prose(sentence))
        assert text == wanted
        assert elements <= {"code"}
        assert not ACTIVE.search(plain)
        shown = page(f"> [!NOTE]\n> - **Reason:** {prose(sentence)}\n\n{prose(sentence)}\n\n## End\n")
        assert [tag for tag in shown.tags if tag != "code"] == ["blockquote", "p", "ul", "li", "strong", "p", "h2"]
        assert shown.headings == ["h2 End"]


@given(st.lists(names, min_size=1, max_size=14, unique=True))
@settings(max_examples=25)
@example(list(HOSTILE_NAMES))
def test_report_with_hostile_names_has_the_same_structure(hostile: list[str]) -> None:
    harmless = page(render(hostile_record([f"name{at}" for at in range(len(hostile))])))
    text = render(hostile_record(hostile))
    shown = page(text)
    assert set(shown.tags) <= ALLOWED
    assert len(shown.comments) == 1
    assert shown.headings == harmless.headings
    assert [[len(cells) for cells in table] for table in shown.tables[1:-1]] == [
        [len(cells) for cells in table] for table in harmless.tables[1:-1]
    ]
    breakdown, columns, samples = (
        next(table for table in shown.tables if last_heading in table[0])
        for last_heading in ("Source rows", "Mismatched keys", "Differing columns"))
    assert [cells[0] for cells in breakdown[1:]] == [visible(name) or "(empty)" for name in hostile]
    assert [cells[1] for cells in samples[1:]] == [visible(name) or "(empty)" for name in hostile]
    assert {cells[1] for cells in columns[1:]} <= {visible(name) or "(empty)" for name in hostile}
    outside = shown.plain.replace("|", "")
    assert not ACTIVE.search(re.sub(r"[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{2}:[0-9]{2}:[0-9]{2}", "", outside))
    assert "\r" not in text
    assert [line for line in text.split("\n") if line.startswith("<!-- orgrecon-record: ")] == [text.split("\n")[-2]]


def test_visible_escapes_invisible_characters_only() -> None:
    assert visible("a\u202eb\x00\n\U000e0041\u200b\u00a0") == "a\\u202eb\\u0000\\u000a\\U000e0041\\u200b\\u00a0"
    assert visible("Größe 日本 ✓ |`") == "Größe 日本 ✓ |`"


def test_visible_escapes_every_control_format_and_separator_character() -> None:
    """Check the fixed list against what this version of Python calls a control, format or separator character."""
    hidden = [chr(n) for n in range(sys.maxunicode + 1)
              if unicodedata.category(chr(n)) in ("Cc", "Cf", "Cs", "Zs", "Zl", "Zp") and n != 0x20]
    left = [unicodedata.name(c, f"U+{ord(c):04X}") for c in hidden if visible(c) == c]
    # Format characters that are visible, because they enclose the digits after them.
    drawn = re.compile(r"SIGN|MARK ABOVE|MARKER|END OF AYAH")
    assert [name for name in left if not drawn.search(name)] == []


@pytest.mark.parametrize("word", [
    "x_" + ")" * 30_000 + "_", "'" * 30_000 + "x_", "(" * 30_000 + "_", "www" + "." * 30_000 + "x", "a'" * 15_000 + "_",
], ids=lambda word: word[:4])
def test_prose_of_a_long_word_takes_linear_time(word: str) -> None:
    """Every run reads all reports, so a long odd word in a reason must not take a minute each time."""
    before = time.process_time()
    assert prose(f"so {word}").startswith("so ")
    assert time.process_time() - before < 2


def test_prose_puts_words_that_look_like_commits_into_code() -> None:
    assert prose("Now deadbeef and 1234567 (epoch 5d41402abc4b), not 123456.") == (
        "Now `deadbeef` and `1234567` (epoch `5d41402abc4b`), not 123456."
    )
