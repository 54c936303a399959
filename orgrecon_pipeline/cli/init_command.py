"""The command ``init``: propose a mapping from the tables of live databases."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orgrecon_pipeline.cli.options import OutputFormat, settings_from
from orgrecon_pipeline.cli.output import terminal, text_views
from orgrecon_pipeline.cli.output.terminal import Format, printable, show_lines
from orgrecon_pipeline.domain.errors import UsageError
from orgrecon_pipeline.domain.identity import DEFAULT_MIGRATION, validate_name
from orgrecon_pipeline.domain.reasons import counted

if TYPE_CHECKING:
    from orgrecon_pipeline.operations.init.init_mapping import InitResult


def init(
    output: Annotated[Path, typer.Option(
        metavar="FILE", help="File to write. It must not exist.")] = Path("orgrecon.yaml"),
    target_database_url: Annotated[str | None, typer.Option(
        metavar="URL", help="Database of the target, if it is another one (default: $ORGRECON_TARGET_DATABASE_URL). "
                            "Prefer the variable: other users of the machine can see options.")] = None,
    pair: Annotated[list[str] | None, typer.Option(
        metavar="SOURCE=TARGET", help="Two tables that correspond, as in teams=org_units. Repeat for others.")] = None,
    tenant_column: Annotated[list[str] | None, typer.Option(
        metavar="COLUMN", help="Column that names the tenant. Repeat for other names.")] = None,
    schema: Annotated[list[str] | None, typer.Option(
        metavar="SCHEMA", help="Read only this schema. Repeat for others.")] = None,
    name: Annotated[str | None, typer.Option(
        metavar="NAME", help=f"Name of the migration, part of its evidence (default: {DEFAULT_MIGRATION}).")] = None,
    non_interactive: Annotated[bool, typer.Option(
        "--non-interactive", help="Ask nothing: what is not clear becomes a TODO in the file.")] = False,
    format: OutputFormat = Format.TEXT,
) -> int:
    """Propose a mapping from the catalog of live databases, write it to a new file, and check it with doctor."""
    from orgrecon_pipeline.operations.init.init_mapping import InitRequest, init_mapping

    settings = settings_from()
    request = InitRequest(output, tuple(schema or ()), tuple(map(_split_pair, pair or ())), tuple(tenant_column or ()),
                          _validated(name), target_database_url)
    asks = not non_interactive and format is Format.TEXT and sys.stdin.isatty() and sys.stdout.isatty()
    interview = _Prompts() if asks else None
    if interview:
        terminal.say("reading the catalog, and a sample of each pair of tables")
        try:
            result = init_mapping(settings, request, interview)
        except typer.Abort as abort:  # how prompts report Ctrl+C and the end of the input (Ctrl+D)
            if isinstance(abort.__context__, EOFError):
                terminal.write_error("\n")  # end the line of the question
                raise UsageError("the input ended before the last question, so nothing was written: answer all "
                                 "questions, or use --non-interactive.") from None
            raise KeyboardInterrupt("nothing was written.") from None
    else:
        with terminal.progress():
            result = init_mapping(settings, request, progress=terminal.progress_log.info)
    terminal.show(result, format, text=_show)
    return 0


def _split_pair(text: str) -> tuple[str, str]:
    source, equals, target = text.partition("=")
    if not (equals and source and target):
        raise UsageError(f"--pair {text!a} does not name two tables: write it as --pair source=target.")
    return source, target


def _validated(name: str | None) -> str | None:
    try:
        return None if name is None else validate_name(name)
    except ValueError as invalid:
        raise UsageError(f"--name: {invalid}.") from None


class _Prompts:
    """Interview on the terminal."""

    def confirm(self, question: str, *, default: bool) -> bool:
        return typer.confirm(printable(question), default=default)

    def choose(self, question: str, options: list[str]) -> int:
        terminal.show_lines([printable(question), *(
            f"  {number}. {printable(option)}" for number, option in enumerate(options, 1))])
        position: int = typer.prompt("Choose", value_proc=lambda text: _position(text, len(options)))
        return position

    def name(self) -> str | None:
        name: str = typer.prompt("Name of the migration, part of all its evidence", default=DEFAULT_MIGRATION,
                                 value_proc=_name_answer)
        return None if name == DEFAULT_MIGRATION else name


def _position(text: str, options: int) -> int:
    if not (text.strip().isdecimal() and 1 <= int(text) <= options):
        raise typer.BadParameter(f"write a number from 1 to {options}")
    return int(text) - 1


def _name_answer(text: str) -> str:
    try:
        return validate_name(text.strip())
    except ValueError as invalid:
        raise typer.BadParameter(str(invalid)) from None


def _show(result: InitResult) -> None:
    proposal = result.proposal
    screen = terminal.stdout()
    if proposal.entities:
        screen.print_table("Proposed", ("entity", "source", "target", "key", "compared", "confidence"), [
            [entity.name, entity.source_table, entity.target_table, ", ".join(entity.key),
             ", ".join(entity.compare) or "–", entity.confidence] for entity in proposal.entities])
    show_lines(f"TODO {todo.name}: {todo.source_table}, {todo.target_table}: {todo.reason}" for todo in proposal.open)
    show_lines(f"check {entity.name}: {column.side}.{column.column} is not compared: {column.reason}"
               for entity in proposal.entities for column in entity.left_out if column.likely)
    show_lines(f"check {entity.name}: the {side} leaves out rows: where {relation.where}"
               for entity in proposal.entities
               for side, relation in (("source", entity.source), ("target", entity.target)) if relation.where)
    if result.diagnosis:
        text_views.show_diagnosis(result.diagnosis, "ready, once each TODO is decided" if proposal.open else "ready")
    columns = sum(len(entity.left_out) for entity in proposal.entities)
    left_out = f"{counted(columns, 'column')} and {counted(len(proposal.left_out), 'table')}"
    show_lines([f"wrote {result.path}, which also lists what is not compared: {left_out}",
                f"next: {_next_step(result)}"])


def _next_step(result: InitResult) -> str:
    option = "" if str(result.path) == "orgrecon.yaml" else f" --mapping {shlex.quote(str(result.path))}"
    if result.proposal.open:
        return f"read {result.path}, decide each TODO, then run orgrecon doctor{option}"
    if not result.ready:
        return f"read {result.path}, correct what the checks say, then run orgrecon doctor{option}"
    return f"read {result.path}, then run orgrecon report{option}"
