"""Reading of a report's file back to its record. Nothing in the file is trusted."""

from __future__ import annotations

import errno
import json
import math
import os
import stat
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from pydantic import ValidationError

from orgrecon_pipeline.domain.errors import OtherIdentity, UnsoundTrail
from orgrecon_pipeline.domain.facts.described import first_error
from orgrecon_pipeline.domain.identity import Identity
from orgrecon_pipeline.domain.record import SCHEMA, Record
from orgrecon_pipeline.file_lock import locked
from orgrecon_pipeline.report.checks.record import contradiction
from orgrecon_pipeline.report.file_names import MAX_BYTES, day_of, shown
from orgrecon_pipeline.report.page.markdown import visible
from orgrecon_pipeline.report.render import RECORD_PREFIX, RECORD_SUFFIX, render
from orgrecon_pipeline.report.signature_file import signature_problem

if TYPE_CHECKING:
    from orgrecon_pipeline.report.signature import PublicKey

# Far above every figure and every nesting of a record.
_MAX_DIGITS = 40
_MAX_DEPTH = 32
_LONG_NUMBER = "0" * _MAX_DIGITS
_DIGITS_AS_0 = str.maketrans("123456789", "000000000")


class _Unsound(Exception):
    """A problem with a report, as the predicate of a sentence about its file."""


def read_report(path: Path, identity: Identity, signed_by: Collection[PublicKey] = ()) -> Record:
    """Read a report of an identity. If keys are given, one of them must have signed the report.

    Raises:
        UnsoundTrail: if the report is not what its record renders to, or is not signed by one of the keys; the message
            names the file and the problem.
        OtherIdentity: if the report is sound, but belongs to another identity.
    """
    record = _read_sound(path, signed_by)
    if record.identity != identity:
        raise OtherIdentity(shown(path), record.identity, identity)
    return record


def _read_sound(path: Path, signed_by: Collection[PublicKey]) -> Record:
    try:
        return _read(path, signed_by)
    except _Unsound as problem:
        raise UnsoundTrail(f"{shown(path)} {problem}") from None
    except RecursionError:
        raise UnsoundTrail(f"{shown(path)} holds a record that is nested too deeply.") from None


def _read(path: Path, signed_by: Collection[PublicKey]) -> Record:
    day = day_of(path.name)
    if day is None:
        raise _Unsound("is not named like a report: the name must be YYYY-MM-DD.md.")
    content, unsigned = _signed_bytes(path, signed_by) if signed_by else (_bytes(path), "")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _Unsound(f"is not UTF-8 text (byte {error.start + 1}): restore it from version control.") from None
    if "\r" in text:
        raise _Unsound("was edited: its line ends were changed (git's autocrlf does that): restore them to newlines.")
    line = _record_line(text)
    record = _canonical_record(line) or _record(line)
    if problem := contradiction(record):
        raise _Unsound(f"contradicts itself: it {problem}.")
    if record.day != day:
        raise _Unsound(f"holds the record of {record.day}: a report must be in the file of its own day.")
    rendered = render(record, line)
    if rendered != text:
        raise _Unsound(f"was edited: line {_first_difference(rendered, text)} is not what its record renders to.")
    if unsigned:
        raise _Unsound(f"{unsigned}.")
    return record


def _signed_bytes(path: Path, keys: Collection[PublicKey]) -> tuple[bytes, str]:
    """Return the bytes of a report, and why they do not count as signed, read while no run replaces either file."""
    with _shared_lock(path.parent):
        content = _bytes(path)
        return content, signature_problem(path, content, keys)


@contextmanager
def _shared_lock(directory: Path) -> Iterator[None]:
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (OSError, ValueError):
        raise _Unsound("cannot be read: its directory cannot be opened.") from None
    try:
        with locked(descriptor, exclusive=False):
            yield
    finally:
        os.close(descriptor)


def _bytes(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as failure:
        if failure.errno == errno.ELOOP:
            raise _Unsound("is a symbolic link: a report must be a regular file.") from None
        raise _Unsound(f"cannot be read: {failure.strerror}.") from None
    except ValueError:
        raise _Unsound("cannot be read: its path holds a NUL character.") from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise _Unsound("is not a regular file.")
        with open(descriptor, "rb", closefd=False) as file:
            content = file.read(min(status.st_size, MAX_BYTES) + 1)
    except OSError as failure:
        raise _Unsound(f"cannot be read: {failure.strerror}.") from None
    finally:
        os.close(descriptor)
    if len(content) > MAX_BYTES:
        raise _Unsound(f"is larger than {MAX_BYTES // 1024 // 1024} MiB, the limit for a report.")
    return content


def _record_line(text: str) -> str:
    """Return the JSON of the record, which has the last line for itself."""
    start = RECORD_PREFIX.rstrip()
    before, *records = f"\n{text}".split(f"\n{start}")
    if not records:
        raise _Unsound("holds no record: it is cut off, or it is not a report.")
    number = before.count("\n") + 1
    if len(records) > 1:
        second = number + records[0].count("\n") + 1
        raise _Unsound(f"holds more than one record (lines {number} and {second}).")
    line, newline, after = f"{start}{records[0]}".partition("\n")
    if after or not newline:
        raise _Unsound(f"does not end with its record: there is text after line {number}, or no newline.")
    if not (line.startswith(RECORD_PREFIX) and line.endswith(RECORD_SUFFIX)):
        raise _Unsound("holds a damaged record: the comment around it is incomplete.")
    return line[len(RECORD_PREFIX) : -len(RECORD_SUFFIX)]


def _canonical_record(line: str) -> Record | None:
    """Return the record if the line is what it is written as, with the right digest; None if it may not be.

    This is a fast way to accept a record. Whatever the parser makes of the line, the record is accepted only if it
    gives exactly this line. :func:`_record` says what is wrong with all others.
    """
    if _LONG_NUMBER in line.translate(_DIGITS_AS_0):
        return None
    try:
        record = Record.from_canonical_line(line)
    except (ValueError, RecursionError):
        return None
    # No other field has values of any depth.
    deep = [record.compared, record.reason_parameters, record.gate.reason_parameters,
            *(outer.reason_parameters for outer in (*record.window, *record.observations)),
            *(row.compared for row in record.observations)]
    return record if _depth(deep) < _MAX_DEPTH - 4 else None


def _record(line: str) -> Record:
    """Return the record of a line, or raise what is wrong with it."""
    value = _json(line)
    if not isinstance(value, dict):
        raise _Unsound("holds a record that is not a JSON object.")
    if value.get("schema") != SCHEMA or isinstance(value.get("schema"), bool):
        raise _Unsound(f"holds a record of an unknown schema (this version reads schema {SCHEMA}).")
    try:
        record = Record.model_validate_json(line, strict=True)
    except ValidationError as error:
        # Of the JSON that Python's parser accepts, pydantic's refuses only halves of surrogate pairs.
        if error.errors(include_url=False, include_input=False)[0]["type"] == "json_invalid":
            raise _Unsound("holds a record with text that is not valid Unicode.") from None
        raise _Unsound(f"holds an invalid record: {first_error(error)}.") from None
    canonical, digest = record.line_and_expected_digest()
    # A changed figure breaks both the digest and the canonical form, and the digest says more about the cause.
    if record.digest != digest:
        raise _Unsound("was edited: the digest of its record is wrong.")
    if canonical != line:
        raise _Unsound("was edited: its record is not canonical JSON.")
    return record


def _json(line: str) -> Any:
    try:
        value = json.loads(
            line, object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise _Unsound(f"holds a record that is not JSON ({error.msg}, character {error.pos + 1}).") from None
    if _depth(value) > _MAX_DEPTH:
        raise _Unsound("holds a record that is nested too deeply.")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        repeated = next(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)
        raise _Unsound(f"holds a record with the key {visible(repeated)[:60]!a} twice.")
    return value


def _integer(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise _Unsound(f"holds a record with a number of {len(digits)} digits.")
    return int(digits)


def _float(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise _Unsound("holds a record with a number that is too large.")
    return number


def _refuse_constant(name: str) -> NoReturn:
    raise _Unsound(f"holds a record with {name}, which is not a JSON number.")


def _depth(value: Any) -> int:
    """Return how many levels of objects, lists and scalars a value has, at most one more than are permitted."""
    level = [value]
    for depth in range(1, _MAX_DEPTH + 1):
        level = [item for outer in level if isinstance(outer, (dict, list))
                 for item in (outer.values() if isinstance(outer, dict) else outer)]
        if not level:
            return depth
    return _MAX_DEPTH + 1


def _first_difference(rendered: str, text: str) -> int:
    lines = zip_longest(rendered.split("\n"), text.split("\n"))
    return next(number for number, (expected, actual) in enumerate(lines, start=1) if expected != actual)
