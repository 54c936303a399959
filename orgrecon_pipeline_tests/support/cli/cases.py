"""Runs commands one after the other in one process, each with its own injected fault."""

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


def raise_with_secret(variable: str) -> Any:
    """Return a function that raises an unexpected error with the value of a variable in its message and its cause."""

    def fail(*_: Any, **__: Any) -> None:
        try:
            raise ValueError(os.environ[variable])
        except ValueError as error:
            raise RuntimeError(repr(os.environ[variable])) from error

    return fail


def disconnect(*_: Any, **__: Any) -> None:
    """Terminate the program's database sessions, as an administrator could."""
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
                           "application_name = 'orgrecon' AND datname = current_database()")


def run_case(case: dict[str, Any]) -> dict[str, Any]:
    """Run a command; see :func:`orgrecon_pipeline_tests.support.cli.process.run_cases`."""
    out, err = io.StringIO(), io.StringIO()
    with (
        mock.patch.dict(os.environ, case["environ"]), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err),
        contextlib.ExitStack() as stack,
    ):
        for key, replacement in (("raises_in", raise_with_secret(case.get("leaks", "DATABASE_URL"))),
                                 ("disconnects_in", disconnect)):
            if key in case:
                stack.enter_context(mock.patch(f"orgrecon_pipeline.{case[key]}", replacement))
        try:
            main(case["arguments"])
            code: Any = None
        except SystemExit as error:
            code = error.code
    return {"code": code, "out": out.getvalue(), "err": err.getvalue()}


def run_all() -> None:
    """Read one case per line from stdin, and write one result per line to stdout."""
    for line in sys.stdin:
        sys.__stdout__.write(json.dumps(run_case(json.loads(line))) + "\n")  # type: ignore[union-attr]
