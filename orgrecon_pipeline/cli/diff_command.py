"""The command ``diff``: an ad-hoc comparison of one tenant."""

from __future__ import annotations

from typing import Annotated

import typer

from orgrecon_pipeline.cli.options import MappingFile, OutputFormat, settings_from
from orgrecon_pipeline.cli.output import terminal, text_views
from orgrecon_pipeline.cli.output.terminal import Format
from orgrecon_pipeline.domain.errors import UsageError

_EXIT_CODES = {"equal": 0, "different": 1, "not_decided": 3}


def diff(
    tenant: Annotated[str, typer.Option(metavar="TENANT", help="Tenant to compare.")],
    entity: Annotated[str | None, typer.Option(metavar="ENTITY", help="Entity to compare (default: all).")] = None,
    key: Annotated[list[str] | None, typer.Option(
        metavar="COLUMN=VALUE", help="Compare only rows with this value in a column of the key. Repeat for others.")
    ] = None,
    values: Annotated[bool, typer.Option(
        "--values", help="Show the values of differing columns, even if the mapping does not ask for them.")] = False,
    limit: Annotated[int, typer.Option(
        min=1, max=100_000, metavar="KEYS", help="Keys to list per entity and drift kind. All are counted.")] = 100,
    mapping: MappingFile = None,
    format: OutputFormat = Format.TEXT,
) -> int:
    """Compare one tenant now. Stores nothing and is no evidence. Exit code: 0 equal, 1 different, 3 not decided."""
    from orgrecon_pipeline.operations.diff import DiffRequest
    from orgrecon_pipeline.operations.diff import diff as compare_tenant

    request = DiffRequest(tenant, entity, _parse_key(key or ()), values, limit)
    with terminal.progress():
        result = compare_tenant(settings_from(mapping), request, terminal.progress_log.info)
    for warning in result.warnings:
        terminal.say(f"warning: {warning}")
    terminal.show(result, format, text=text_views.show_diff)
    return _EXIT_CODES[result.result.value]


def _parse_key(pairs: list[str] | tuple[()]) -> dict[str, str]:
    key: dict[str, str] = {}
    for pair in pairs:
        column, equals, text = pair.partition("=")
        if not equals:
            raise UsageError(f"--key {pair!a} has no value: write it as --key column=value.")
        if column in key:
            raise UsageError(f"--key names {column!a} twice: remove one.")
        key[column] = text
    return key
