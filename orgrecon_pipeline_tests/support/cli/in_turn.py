"""A program: runs the command again and again in one process, each with what is to go wrong, for ``run_in_turn``."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from typing import Any
from unittest import mock

import psycopg

from orgrecon_pipeline.cli.app import main


def a_bug(variable: str) -> Any:
    """Fails as only a bug would: with the URL in its words, and in those of its cause."""

    def fail(*_: Any, **__: Any) -> None:
        try:
            raise ValueError(os.environ[variable])
        except ValueError as error:
            raise RuntimeError(repr(os.environ[variable])) from error

    return fail


def end_the_session(*_: Any, **__: Any) -> None:
    """What an administrator does."""
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
                           "application_name = 'orgrecon' AND datname = current_database()")


def once(case: dict[str, Any]) -> dict[str, Any]:
    out, err = io.StringIO(), io.StringIO()
    with (
        mock.patch.dict(os.environ, case["environ"]), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err),
        contextlib.ExitStack() as stack,
    ):
        if where := case.get("bug"):
            stack.enter_context(mock.patch(f"orgrecon_pipeline.{where}", a_bug(case.get("variable", "DATABASE_URL"))))
        if where := case.get("ended"):
            stack.enter_context(mock.patch(f"orgrecon_pipeline.{where}", end_the_session))
        try:
            main(case["arguments"])
            code: Any = None
        except SystemExit as ended:
            code = ended.code
    return {"code": code, "out": out.getvalue(), "err": err.getvalue()}


def run_all() -> None:
    """Run the cases of standard input, one JSON object a line, and answer each with a line."""
    for line in sys.stdin:
        sys.__stdout__.write(json.dumps(once(json.loads(line))) + "\n")  # type: ignore[union-attr]
