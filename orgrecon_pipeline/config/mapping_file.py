"""Finding and reading the mapping file; every error names file, line, field and fix in one line."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError

from orgrecon_pipeline.domain.errors import ConfigurationError
from orgrecon_pipeline.domain.mapping import MappingConfig

_LOCAL = Path("orgrecon.yaml")
_MAX_BYTES = 1_000_000
_DEFAULT_NAME = "the packaged default mapping"

# What a reader should do, where pydantic only says what is wrong.
_FIXES = {
    "missing": "is missing: add it",
    "string_type": "must be text: put it in quotes",
    "int_type": "must be a whole number",
    "float_type": "must be a number of seconds",
    "bool_type": "must be true or false",
    "dict_type": "must be a block of name: value lines",
    "model_type": "must be a block of name: value lines",
    "model_attributes_type": "must be a block of name: value lines",
    "tuple_type": "must be a list, as in [a, b]",
    "too_short": "is empty: name at least one",
}


def load_mapping(explicit: str | None, environ: Mapping[str, str]) -> MappingConfig:
    """The mapping in force: ``--mapping``, then ``ORGRECON_MAPPING``, then ``./orgrecon.yaml``, then the default.

    Raises:
        ConfigurationError: when the file cannot be read or is no mapping.
    """
    named = explicit or environ.get("ORGRECON_MAPPING")
    if named:
        return parse_mapping(_read(Path(named)), named)
    if _LOCAL.exists():
        return parse_mapping(_read(_LOCAL), str(_LOCAL))
    return default_mapping()


def default_mapping() -> MappingConfig:
    """The packaged default."""
    text = resources.files("orgrecon_pipeline.config").joinpath("default_mapping.yaml").read_text(encoding="utf-8")
    return parse_mapping(text, _DEFAULT_NAME)


def parse_mapping(text: str, name: str) -> MappingConfig:
    """Read a mapping from the text of the file ``name``.

    Raises:
        ConfigurationError: with the first error in the order of the file.
    """
    tree = _parse_yaml(text, name)
    if not isinstance(tree, dict):
        raise ConfigurationError(f"{name}:1: is not a mapping: it must begin with 'version: 1' and 'entities:'.")
    try:
        return MappingConfig.model_validate(_plain(tree))
    except RecursionError:
        raise ConfigurationError(f"{name}:1: is nested too deeply, or in itself: write it out.") from None
    except ValidationError as invalid:
        errors = [_explained(tree, dict(error)) for error in invalid.errors(include_url=False)]
    line, message = min(errors)
    more = f" ({len(errors) - 1} more)" if len(errors) > 1 else ""
    end = "" if message.endswith("?") else "."
    raise ConfigurationError(f"{name}:{line}: {message}{end}{more}")


def _read(path: Path) -> str:
    try:
        if path.is_file() and path.stat().st_size > _MAX_BYTES:
            raise ConfigurationError(f"mapping {path}: is larger than {_MAX_BYTES} bytes: it is no mapping.")
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ConfigurationError(f"mapping {path}: is not UTF-8 text: save it as UTF-8.") from None
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "not a path"
        raise ConfigurationError(
            f"mapping {path}: cannot be read ({why}): check --mapping and ORGRECON_MAPPING."
        ) from None


def _parse_yaml(text: str, name: str) -> Any:
    reader = YAML(typ="rt")
    try:
        return reader.load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = " ".join((error.problem or "is not YAML").split())
        raise ConfigurationError(f"{name}:{mark.line + 1 if mark else 1}: {problem}: correct the YAML.") from None
    except Exception as error:  # the parser fails in many ways on what is no YAML
        problem = " ".join(str(error).split())[:200]
        raise ConfigurationError(f"{name}:1: is not YAML ({problem}): correct it.") from None


def _plain(node: Any) -> Any:
    """The tree as the built-in types that strict validation accepts."""
    if isinstance(node, dict):
        return {_plain(key): _plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_plain(value) for value in node]
    for kind in (bool, int, float, str):
        if isinstance(node, kind):
            return kind(node)
    return node


def _explained(tree: Any, error: dict[str, Any]) -> tuple[int, str]:
    """The line of an error and a sentence about it."""
    location = [part for part in error["loc"] if part != "[key]"]
    location += (error.get("ctx") or {}).get("at", [])  # where inside, if our own check knows
    line, named = _locate(tree, location)
    told = error["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    message = _FIXES.get(error["type"]) or told
    where = ".".join(named)
    return line, f"{where}: {message}" if where else message


def _locate(tree: Any, location: list[Any]) -> tuple[int, list[str]]:
    """The line (from 1) of the deepest part of a location that the file has, and the location in its words."""
    node, line, named = tree, 1, []
    for part in location:
        if isinstance(node, dict) and part in node:
            line = _lines(node).key(part)[0] + 1
            node = node[part]
        elif isinstance(node, list) and isinstance(part, int) and part < len(node):
            line = _lines(node).item(part)[0] + 1
            node = node[part]
        elif isinstance(part, int):
            continue  # a single relation was read as a list of one
        elif not isinstance(node, dict) or part in ("from_",):
            continue
        named.append(str(part))
    return line, named


def _lines(node: Any) -> Any:
    """Where ruamel noted the lines of a node's parts."""
    return node.lc
