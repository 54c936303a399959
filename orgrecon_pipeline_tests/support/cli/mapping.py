"""Mapping files for commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from orgrecon_pipeline.config.mapping_file import default_mapping


def write_mapping(path: Path, *, scan: dict[str, Any] | None = None, **fields: Any) -> None:
    """Write the default mapping, with scan settings changed and other fields replaced."""
    value = default_mapping().model_dump(by_alias=True, mode="json", exclude_none=True)
    value["scan"] |= scan or {}
    path.write_text(json.dumps({**value, **fields}), encoding="utf-8")
