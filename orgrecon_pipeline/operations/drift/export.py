"""Drifting keys as a file: JSON, CSV, JSON Lines or Parquet, in chunks, so that a million need little memory."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from orgrecon_pipeline.domain.errors import ConfigurationError, UsageError
from orgrecon_pipeline.operations.drift.drift import DriftList
from orgrecon_pipeline.operations.drift.values import LIVE_COLUMNS

if TYPE_CHECKING:
    import pandas as pd

_CHUNK = 50_000  # rows

def export_drift(drift: DriftList, form: str, output: Path | None) -> int:
    """Write the keys as ``json``, ``csv``, ``jsonl`` or ``parquet`` to a file or to stdout, and return their number.

    A file is replaced atomically.

    Raises:
        UsageError: if Parquet would be written to stdout, or its library is not installed.
        ConfigurationError: if the file cannot be written.
    """
    if form == "parquet" and output is None:
        raise UsageError("parquet is a binary format: name a file with --output.")
    write = partial(_write_json, drift) if form == "json" else partial(_WRITERS[form], drift.columns)
    if output is None:
        # First to a file: a slow reader of stdout must not hold a transaction of the ledger open.
        with tempfile.TemporaryFile() as file:
            count = write(drift.rows(), file)
            file.seek(0)
            sys.stdout.flush()
            shutil.copyfileobj(file, sys.stdout.buffer)
            sys.stdout.buffer.flush()
        return count
    with _replaced(output) as file:
        return write(drift.rows(), file)


@contextmanager
def _replaced(path: Path) -> Iterator[IO[bytes]]:
    """Open a temporary file that replaces the file at the end of the block."""
    try:
        if path.is_symlink() or (path.exists() and not path.is_file()):  # such as /dev/stdout, which must stay a device
            raise OSError(errno.EINVAL, "not a regular file")
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.absolute().parent)
        try:
            with open(descriptor, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)
            raise
    except OSError as error:
        raise ConfigurationError(f"cannot write {path} ({error.strerror}): check --output and its directory.") from None


def _write_json(drift: DriftList, rows: Iterator[Mapping[str, Any]], file: IO[bytes]) -> int:
    """Write one document, whose keys follow the description of the day."""
    observation, count = drift.observation, 0
    change = observation.change
    head = {
        **drift.identity.as_json_value(), "day": observation.day.isoformat(), "observation": observation.id,
        "since": change.since.isoformat() if change and change.since else None, "notes": list(drift.notes)}
    file.write((json.dumps(head, ensure_ascii=False)[:-1] + ', "keys": [').encode())
    for row in rows:
        file.write((", " * bool(count) + json.dumps(row, ensure_ascii=False)).encode())
        count += 1
    file.write(b"]}\n")
    return count


def _write_csv(columns: Sequence[str], rows: Iterator[Mapping[str, Any]], file: IO[bytes]) -> int:
    count = 0
    for frame in _frames(columns, rows):
        for name in {"key", "columns", *LIVE_COLUMNS}.intersection(columns):
            frame[name] = _json_texts(frame[name])
        frame.to_csv(file, index=False, header=not count, lineterminator="\n")
        count += len(frame)
    if not count:
        file.write((",".join(columns) + "\n").encode())
    return count


def _write_json_lines(columns: Sequence[str], rows: Iterator[Mapping[str, Any]], file: IO[bytes]) -> int:
    count = 0
    for frame in _frames(columns, rows):
        file.write(frame.to_json(orient="records", lines=True, force_ascii=False).encode())
        count += len(frame)
    return count


def _write_parquet(columns: Sequence[str], rows: Iterator[Mapping[str, Any]], file: IO[bytes]) -> int:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise UsageError(
            "parquet needs pyarrow: pip install 'orgrecon-pipeline[parquet]', or choose csv or jsonl.") from None
    import pandas as pd

    text, day = pa.string(), pa.date32()
    types = {"day": day, "tenant": text, "entity": text, "kind": text, "key": pa.map_(text, text),
             "columns": pa.list_(text), "state": text, "first_seen": day,
             "now": pa.list_(text), "values": text, "show": text}
    schema = pa.schema([(name, types[name]) for name in columns])
    count = 0
    with pq.ParquetWriter(file, schema) as writer:
        for frame in _frames(columns, rows):
            for name in {"values", "show"}.intersection(columns):
                frame[name] = _json_texts(frame[name])
            frame["key"] = [list(key.items()) for key in frame["key"]]
            for name in ("day", "first_seen"):
                frame[name] = pd.to_datetime(frame[name]).dt.date
            writer.write_table(pa.Table.from_pandas(frame, schema=schema, preserve_index=False))
            count += len(frame)
    return count


def _json_texts(values: Iterable[Any]) -> list[str | None]:
    return [None if value is None else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
            for value in values]


def _frames(columns: Sequence[str], rows: Iterator[Mapping[str, Any]]) -> Iterator[pd.DataFrame]:
    """Yield the rows in frames of a bounded size."""
    import pandas as pd

    while chunk := list(islice(rows, _CHUNK)):
        yield pd.DataFrame.from_records(chunk, columns=list(columns)).astype("object")


#: Writes the given columns of all rows to a file, and returns the number of rows.
_Write = Callable[[Sequence[str], Iterator[Mapping[str, Any]], IO[bytes]], int]
_WRITERS: dict[str, _Write] = {"csv": _write_csv, "jsonl": _write_json_lines, "parquet": _write_parquet}
