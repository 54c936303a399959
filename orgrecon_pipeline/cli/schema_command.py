"""The command ``schema``, which prints a JSON Schema."""

from __future__ import annotations

import sys
from enum import Enum
from importlib import resources
from typing import Annotated

import typer


class SchemaName(str, Enum):
    """A format with a published JSON Schema."""

    MAPPING = "mapping"
    RECORD = "record"
    GATE = "gate"
    DRIFT = "drift"


def schema(
    name: Annotated[SchemaName, typer.Argument(
        show_choices=False, metavar="NAME",
        help="mapping: the mapping file. record: the last line of a report. gate: what gate and the exporter answer. "
             "drift: what drift and diff print.")],
) -> None:
    """Print the JSON Schema of a format, for editors and for programs."""
    file = resources.files("orgrecon_pipeline.schemas").joinpath(f"{name.value}.schema.json")
    sys.stdout.write(file.read_text(encoding="ascii"))
