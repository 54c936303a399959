"""From a report's file back to its record, trusting nothing."""

from __future__ import annotations

import errno
import json
import math
import os
import stat
from collections import Counter
from pathlib import Path
from typing import Any, NoReturn

from pydantic import ValidationError

from orgrecon_pipeline.domain.errors import UnsoundTrail
from orgrecon_pipeline.domain.record import SCHEMA, Record
from orgrecon_pipeline.report.consistency import contradiction
from orgrecon_pipeline.report.file_names import MAX_BYTES, day_of, shown
from orgrecon_pipeline.report.markdown import visible
from orgrecon_pipeline.report.render import RECORD_PREFIX, RECORD_SUFFIX, render

# A record has no figure and no nesting anywhere near these.
_MAX_DIGITS = 40
_MAX_DEPTH = 32


class _Wrong(Exception):
    """What is wrong with a report, as the rest of a sentence about it."""


def read_report(path: Path) -> Record:
    """Read a report and prove that it is exactly what its record renders to.

    Raises:
        UnsoundTrail: naming the file and what is wrong with it.
    """
    try:
        return _read(path)
    except _Wrong as wrong:
        raise UnsoundTrail(f"{shown(path)} {wrong}") from None
    except RecursionError:
        raise UnsoundTrail(f"{shown(path)} holds a record that is nested too deeply.") from None


def _read(path: Path) -> Record:
    day = day_of(path.name)
    if day is None:
        raise _Wrong("is not named like a report: the name has to be YYYY-MM-DD.md.")
    content = _bytes(path)
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as broken:
        raise _Wrong(f"is not UTF-8 text (byte {broken.start + 1}): restore it from version control.") from None
    if "\r" in text:
        raise _Wrong("was edited: its line ends were changed (git's autocrlf does that): restore them to newlines.")
    record = _record(_record_line(text))
    if record.day != day:
        raise _Wrong(f"holds the record of {record.day}: a report belongs into the file of its own day.")
    rendered = render(record)
    if rendered != text:
        raise _Wrong(f"was edited: line {_first_difference(rendered, text)} is not what its record renders to.")
    return record


def _bytes(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as failure:
        if failure.errno == errno.ELOOP:
            raise _Wrong("is a symbolic link: a report has to be a regular file.") from None
        raise _Wrong(f"cannot be read: {failure.strerror}.") from None
    except ValueError:
        raise _Wrong("cannot be read: its path holds a NUL character.") from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise _Wrong("is not a regular file.")
        with open(descriptor, "rb", closefd=False) as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as failure:
        raise _Wrong(f"cannot be read: {failure.strerror}.") from None
    finally:
        os.close(descriptor)
    if len(content) > MAX_BYTES:
        raise _Wrong(f"is larger than {MAX_BYTES // 1024 // 1024} MiB: no report is.")
    return content


def _record_line(text: str) -> str:
    """The JSON of the record, which stands alone on the last line."""
    lines = text.split("\n")
    marked = [at for at, line in enumerate(lines) if line.startswith(RECORD_PREFIX.rstrip())]
    if not marked:
        raise _Wrong("holds no record: it is cut short, or it is not a report.")
    if len(marked) > 1:
        raise _Wrong(f"holds more than one record (lines {marked[0] + 1} and {marked[1] + 1}).")
    if lines[marked[0] + 1 :] != [""]:
        raise _Wrong(f"does not end with its record: there is text after line {marked[0] + 1}, or no newline.")
    line = lines[marked[0]]
    if not (line.startswith(RECORD_PREFIX) and line.endswith(RECORD_SUFFIX)):
        raise _Wrong("holds a damaged record: its comment has no proper beginning and end.")
    return line[len(RECORD_PREFIX) : -len(RECORD_SUFFIX)]


def _record(line: str) -> Record:
    value = _json(line)
    if not isinstance(value, dict):
        raise _Wrong("holds a record that is no JSON object.")
    if value.get("schema") != SCHEMA or isinstance(value.get("schema"), bool):
        raise _Wrong(f"holds a record of a schema that this version does not read (it reads {SCHEMA}).")
    try:
        record = Record.model_validate(value)
    except ValidationError as invalid:
        raise _Wrong(f"holds a record that is no record: {_first_error(invalid)}.") from None
    try:
        canonical, digest = record.line(), record.expected_digest()
        canonical.encode("utf-8")
    except (ValueError, UnicodeEncodeError):
        raise _Wrong("holds a record with text that is no Unicode.") from None
    # The digest first: with a changed figure both are wrong, and that the digest is says more.
    if record.digest != digest:
        raise _Wrong("was edited: its record's digest does not belong to it.")
    if canonical != line:
        raise _Wrong("was edited: its record is not written in the canonical form.")
    wrong = contradiction(record)
    if wrong:
        raise _Wrong(f"contradicts itself: it {wrong}.")
    return record


def _json(line: str) -> Any:
    try:
        value = json.loads(
            line, object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_no_number
        )
    except json.JSONDecodeError as broken:
        raise _Wrong(f"holds a record that is no JSON ({broken.msg}, character {broken.pos + 1}).") from None
    _check_depth(value)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)
        raise _Wrong(f"holds a record with the key {visible(twice)[:60]!a} twice.")
    return found


def _integer(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise _Wrong(f"holds a record with a number of {len(digits)} digits.")
    return int(digits)


def _float(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise _Wrong("holds a record with a number that is too large.")
    return number


def _no_number(name: str) -> NoReturn:
    raise _Wrong(f"holds a record with {name}, which is no JSON number.")


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(_MAX_DEPTH):
        level = [
            item
            for outer in level if isinstance(outer, (dict, list))
            for item in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return
    raise _Wrong("holds a record that is nested too deeply.")


def _first_error(invalid: ValidationError) -> str:
    # Never the value itself: it may be anything.
    error = invalid.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(str(part) for part in error["loc"])
    return visible(f"{where}: {error['msg']}")[:200]


def _first_difference(rendered: str, text: str) -> int:
    ours, theirs = rendered.split("\n"), text.split("\n")
    for at, (one, other) in enumerate(zip(ours, theirs, strict=False)):
        if one != other:
            return at + 1
    return min(len(ours), len(theirs)) + 1
