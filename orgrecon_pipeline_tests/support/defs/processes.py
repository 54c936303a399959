"""Dagster processes, each in its own session and stopped together with its children."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

MODULE = ("-m", "orgrecon_pipeline.definitions")
INSTANCE = "telemetry: {enabled: false}\nnux: {enabled: false}\n"


def free_port() -> int:
    """Return a TCP port that is free at the moment."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def process(command: list[str], environ: Mapping[str, str], cwd: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process until the block ends; then stop it and its whole session."""
    with log.open("ab") as output, subprocess.Popen(
        command, env=dict(environ), stdout=output, stderr=output, cwd=cwd, start_new_session=True
    ) as started:
        try:
            yield started
        finally:
            for number in (signal.SIGTERM, signal.SIGKILL):
                try:
                    os.killpg(started.pid, number)
                    started.wait(timeout=30)
                except ProcessLookupError:
                    break
                except subprocess.TimeoutExpired:
                    continue


def eventually(condition: Callable[[], Any], seconds: float, explain: Callable[[], object] = str) -> Any:
    """Poll until the condition is true and return its value; fail with ``explain()`` after ``seconds``."""
    deadline = time.monotonic() + seconds
    while True:
        asked = time.monotonic()
        if value := condition():
            return value
        assert time.monotonic() < deadline, explain()
        # An expensive condition is asked less often, so that polling does not slow down what it waits for.
        time.sleep(max(0.2, 10 * (time.monotonic() - asked)))


def answers(url: str) -> bool:
    """Return whether the web server at this URL answers."""
    try:
        urllib.request.urlopen(f"{url}/server_info", timeout=5).close()
    except OSError:
        return False
    return True


@contextmanager
def webserver(
    environ: Mapping[str, str], home: Path, code: Sequence[str] = MODULE, path_prefix: str = ""
) -> Iterator[str]:
    """Run the web server on the instance in ``home`` and yield its URL, with the path prefix if there is one.

    ``code`` are the options that name the code locations.
    """
    port = free_port()
    url = f"http://127.0.0.1:{port}{path_prefix}"
    prefixed = ["--path-prefix", path_prefix] if path_prefix else []
    command = [sys.executable, "-m", "dagster_webserver", "-h", "127.0.0.1", "-p", str(port), *prefixed, *code]
    log = home / "web.log"
    with process(command, {**environ, "DAGSTER_HOME": str(home)}, home, log):
        eventually(lambda: answers(url), 120, log.read_text)
        yield url


def graphql(url: str, query: str, **variables: Any) -> Any:
    """Return the data of a GraphQL query."""
    request = urllib.request.Request(
        f"{url}/graphql", data=json.dumps({"query": query, "variables": variables}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        body = json.load(answer)
    assert not body.get("errors"), body["errors"]
    return body["data"]
