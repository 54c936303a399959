"""Find and read the mapping file. Every error is one line that names file, line, field and fix."""

from __future__ import annotations

import errno
import functools
import os
import re
import tempfile
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError

from orgrecon_pipeline.domain.errors import ConfigurationError
from orgrecon_pipeline.domain.mapping.model import MappingConfig

_LOCAL = Path("orgrecon.yaml")
_MAX_BYTES = 1_000_000
_DEFAULT_NAME = "the packaged default mapping"
# What a person still has to decide, as `orgrecon init` writes it.
_TODO = re.compile(r"\s*TODO(?::(.*))?\s*", re.DOTALL)
_NOT_A_BLOCK = "must be a block of name: value lines"

# By pydantic's error type: pydantic says what is wrong, but not what to do.
_FIXES = {
    "missing": "is missing: add it",
    "string_type": "must be text: put it in quotes",
    "int_type": "must be a whole number",
    "float_type": "must be a number of seconds",
    "bool_type": "must be true or false",
    "dict_type": _NOT_A_BLOCK,
    "model_type": _NOT_A_BLOCK,
    "model_attributes_type": _NOT_A_BLOCK,
    "tuple_type": "must be a list, as in [a, b]",
    "too_short": "is empty: name at least one",
}


def load_mapping(explicit: str | None, environ: Mapping[str, str]) -> MappingConfig:
    """Return the mapping from ``explicit``, ``ORGRECON_MAPPING``, ``./orgrecon.yaml`` or the packaged default.

    Raises:
        ConfigurationError: if the file cannot be read or is not a valid mapping.
    """
    name = explicit or environ.get("ORGRECON_MAPPING")
    if name:
        return parse_mapping(_read(Path(name)), name)
    if _LOCAL.exists():
        return parse_mapping(_read(_LOCAL), str(_LOCAL))
    return default_mapping()


#: What to say of the packaged default mapping if a database does not have its tables.
DEFAULT_MAPPING_ADVICE = (
    "is the packaged default: if your tables are others, run orgrecon init to propose a mapping for them")


def default_mapping() -> MappingConfig:
    """Return the packaged default mapping."""
    text = resources.files("orgrecon_pipeline.config").joinpath("default_mapping.yaml").read_text(encoding="utf-8")
    return parse_mapping(text, _DEFAULT_NAME)


@functools.lru_cache(maxsize=16)  # each step of a run reads the same file again
def parse_mapping(text: str, name: str) -> MappingConfig:
    """Return the mapping in ``text``. A ConfigurationError names the file, ``name``, and its first error."""
    tree = _parse_yaml(text, name)
    if not isinstance(tree, dict):
        raise ConfigurationError(f"{name}:1: not a mapping file: begin it with 'version: 1' and 'entities:'.")
    try:
        _require_decided(tree, name)
        return MappingConfig.model_validate(_builtin(tree))
    except RecursionError:
        raise ConfigurationError(f"{name}:1: nested too deeply or recursive: replace the aliases by values.") from None
    except ValidationError as invalid:
        errors = [_explain(tree, dict(error)) for error in invalid.errors(include_url=False)]
    line, message = min(errors)
    more = f" ({len(errors) - 1} more)" if len(errors) > 1 else ""
    end = "" if message.endswith("?") else "."
    raise ConfigurationError(f"{name}:{line}: {message}{end}{more}")


def write_new_mapping(path: Path, text: str) -> None:
    """Write a mapping file that does not exist yet, as a whole or not at all.

    Raises:
        ConfigurationError: if there is such a file, or it cannot be written.
    """
    try:
        with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", encoding="utf-8") as temporary:
            temporary.write(text)
            temporary.flush()
            os.fsync(temporary.fileno())
            os.chmod(temporary.name, 0o644)
            _link(Path(temporary.name), path)
    except FileExistsError:
        raise ConfigurationError(f"{path} exists: name another file with --output, or move it away.") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a path"
        raise ConfigurationError(f"{path} cannot be written ({reason}): name another file with --output.") from None


def _link(temporary: Path, path: Path) -> None:
    """Give a complete file a second name. Unlike a rename, this never replaces a file."""
    try:
        os.link(temporary, path)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
            raise
        with path.open("xb") as file:  # the file system has no links
            file.write(temporary.read_bytes())


def _require_decided(node: Any, name: str, location: tuple[Any, ...] = (), root: Any = None) -> None:
    """Raise ConfigurationError for the first value that is a TODO: to guess instead could hide drift."""
    root = node if root is None else root
    if isinstance(node, str) and (todo := _TODO.fullmatch(node)):
        line, fields = _locate(root, list(location))
        reason = " ".join((todo[1] or "").split())[:300].rstrip(".")
        raise ConfigurationError(
            f"{name}:{line}: {'.'.join(fields)} is still TODO{f' ({reason})' if reason else ''}: decide it, as the "
            "comments in the file say.")
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for part, child in children:
        _require_decided(child, name, (*location, part), root)


def _read(path: Path) -> str:
    try:
        if path.is_file() and path.stat().st_size > _MAX_BYTES:
            raise ConfigurationError(f"mapping {path}: larger than {_MAX_BYTES} bytes: name a mapping file.")
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ConfigurationError(f"mapping {path}: not UTF-8 text: save it as UTF-8.") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a path"
        raise ConfigurationError(
            f"mapping {path}: cannot be read ({reason}): check --mapping and ORGRECON_MAPPING.") from None


def _parse_yaml(text: str, name: str) -> Any:
    try:
        return YAML(typ="rt").load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = " ".join((error.problem or "not YAML").split())
        raise ConfigurationError(f"{name}:{mark.line + 1 if mark else 1}: {problem}: correct the YAML.") from None
    except Exception as error:  # On invalid input the parser also fails with errors of many other classes.
        problem = " ".join(str(error).split())[:200]
        raise ConfigurationError(f"{name}:1: not YAML ({problem}): correct it.") from None


def _builtin(node: Any) -> Any:
    """Return the tree as built-in types, which strict validation requires."""
    if isinstance(node, dict):
        return {_builtin(key): _builtin(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_builtin(value) for value in node]
    for kind in (bool, int, float, str):
        if isinstance(node, kind):
            return kind(node)
    return node


def _explain(tree: Any, error: dict[str, Any]) -> tuple[int, str]:
    """Return the line of a validation error, and its field and message."""
    location = [part for part in error["loc"] if part != "[key]"]
    location += (error.get("ctx") or {}).get("at", [])  # Our own validators add the field inside the location.
    line, fields = _locate(tree, location)
    message = _FIXES.get(error["type"]) or (
        error["msg"].removeprefix("Value error, ").replace("Input should be", "must be"))
    return line, f"{'.'.join(fields)}: {message}" if fields else message


def _locate(tree: Any, location: list[Any]) -> tuple[int, list[str]]:
    """Return the line (from 1) of the deepest part of a location that is in the file, and its field names."""
    node, line, fields = tree, 1, []
    for part in location:
        positions: Any = getattr(node, "lc", None)  # ruamel records line and column of each part of a node
        if isinstance(node, dict) and part in node:
            line = positions.key(part)[0] + 1
            node = node[part]
        elif isinstance(node, list) and isinstance(part, int) and part < len(node):
            line = positions.item(part)[0] + 1
            node = node[part]
        elif isinstance(part, int):
            continue  # A single relation is validated as a list of one.
        elif not isinstance(node, dict) or part == "from_":
            continue
        fields.append(str(part))
    return line, fields
