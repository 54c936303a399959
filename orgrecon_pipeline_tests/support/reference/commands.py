"""Reference of the commands, from their parameters and help texts."""

from __future__ import annotations

import re
from typing import Any

import typer

from orgrecon_pipeline.cli.app import app
from orgrecon_pipeline_tests.support.reference.cells import cell, either, sentence, table

_GROUP: Any = typer.main.get_command(app)
COMMANDS: dict[str, Any] = _GROUP.commands
_EXIT_CODE = re.compile(r"\s*Exit code: ([^.]+)\.")
_DEFAULT = re.compile(r"\s*\(default: ([^)]+)\)")


def commands(**_: Any) -> str:
    """Return the list of commands, with what they do and their exit codes."""
    return table(("command", "what it does", "exit code"), (
        [f"[`{name}`](#{name})", cell(_purpose(name)), " · ".join(_codes(name))] for name in COMMANDS))


def command(name: str, **_: Any) -> str:
    """Return the usage, arguments, options and exit codes of a command."""
    context = COMMANDS[name].make_context(name, [], resilient_parsing=True)
    rows = [_row(parameter, context) for parameter in COMMANDS[name].params]
    usage = " ".join(["orgrecon", name, *_usage(name), "[OPTIONS]"])
    return "\n\n".join([
        *map(sentence, filter(None, _EXIT_CODE.sub("", COMMANDS[name].help).split("\n\n"))),
        f"```text\n{usage}\n```", table(("parameter", "meaning", "default"), rows),
        f"Exit code: {' · '.join(_codes(name))}."])


def exit_codes(**_: Any) -> str:
    """Return the meaning of the exit codes, as the help of the program ends with them."""
    codes = _GROUP.epilog.removeprefix("Exit codes: ").rstrip(".").split(" · ")
    return table(("exit code", "meaning"), (code.split(" ", 1) for code in codes))


def _purpose(name: str) -> str:
    return _EXIT_CODE.sub("", COMMANDS[name].help.split("\n\n")[0])


def _codes(name: str) -> list[str]:
    codes = _EXIT_CODE.search(COMMANDS[name].help)
    return codes[1].split(", ") if codes else ["0"]


def _usage(name: str) -> list[str]:
    arguments = [parameter for parameter in COMMANDS[name].params if not parameter.opts[0].startswith("-")]
    return [argument.metavar if argument.required else f"[{argument.metavar}]" for argument in arguments]


def _row(parameter: Any, context: Any) -> list[str]:
    shown = parameter.get_help_record(context)[0]
    meaning = cell(_DEFAULT.sub("", parameter.help))
    name = parameter.opts[0] if parameter.opts[0].startswith("-") else parameter.metavar
    if choices := re.search(r"[<\[]([\w|]+\|[\w|]+)[>\]]$", shown):
        meaning += f": {either(choices[1].split('|'))}"
    elif name != parameter.metavar and not parameter.is_flag:
        name = f"{name} {parameter.metavar}"
    return [f"`{name}`", meaning, _default(parameter)]


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    if written := _DEFAULT.search(parameter.help):
        parts = written[1].split(", ")
        return ", ".join(sentence(part) if " " in part or part.isalpha() else f"`{part.lstrip('$')}`" for part in parts)
    value = getattr(parameter.default, "value", parameter.default)
    return "–" if value is None or value is False or value == "" else f"`{value}`"
