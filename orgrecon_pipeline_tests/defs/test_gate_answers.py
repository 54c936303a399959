"""Responses of a web server to ``orgrecon gate --dagster-url``: only a valid one opens the gate."""

from __future__ import annotations

import http.server
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from orgrecon_pipeline.domain.errors import ConfigurationError
from orgrecon_pipeline.domain.evidence import Provenance, Verdict
from orgrecon_pipeline.domain.gate import DayEvidence
from orgrecon_pipeline.domain.mapping import GatePolicy
from orgrecon_pipeline.operations.gate.current import current_gate
from orgrecon_pipeline.operations.gate.dagster_client import ask_dagster
from orgrecon_pipeline_tests.support.defs.world import wrapped


@contextmanager
def answering(answer: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> Iterator[str]:
    """Run a web server that always gives this response; yield its URL."""
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST

        def log_message(self, *_: Any) -> None: ...

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as web:
        thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{web.server_port}"
        finally:
            web.shutdown()
            thread.join()


NOW = datetime(2026, 3, 10, 12, tzinfo=timezone.utc)
POLICY = GatePolicy()


def open_answer() -> dict[str, Any]:
    days = {day: DayEvidence(day, Verdict.PASS, Provenance.LIVE, "d", True)
            for day in (NOW.date() - timedelta(days=n) for n in range(8))}
    return current_gate(days, POLICY, NOW).as_json_value()


def execution(answer: Any = None, **changes: Any) -> dict[str, Any]:
    evaluation = {"success": True, "severity": "ERROR", "metadataEntries": [
        {"__typename": "TextMetadataEntry", "label": "state"},
        {"__typename": "JsonMetadataEntry", "label": "answer",
         "jsonString": answer if isinstance(answer, str) else json.dumps(answer or open_answer())},
    ]}
    return {"status": "SUCCEEDED", "evaluation": evaluation, **changes}


def attached(**changes: Any) -> dict[str, Any]:
    return wrapped(execution({**open_answer(), **changes}))


def window(**changes: Any) -> list[dict[str, Any]]:
    *rows, last = open_answer()["window"]
    return [*rows, {**last, **changes}]


def test_valid_open_answer_opens_the_gate() -> None:
    with answering(wrapped(execution())) as url:
        answer = ask_dagster(url, POLICY, NOW, require_live=7)
        assert answer.open
        assert answer.as_json_value() == open_answer()
        assert ask_dagster(f"{url}/graphql", POLICY, NOW).open
        assert ask_dagster(url, POLICY, NOW + timedelta(days=1, hours=11, minutes=59)).open


INVALID: dict[str, Any] = {
    "nothing": b"",
    "not JSON": b"<html>login</html>",
    "null": b"null",
    "a list": b"[]",
    "a number": b"1",
    "deep": b"[" * 100_000,
    "not UTF-8": b"\xff\xfe",
    "NaN": b"NaN",
    "errors beside data": {**wrapped(execution()), "errors": [{"message": "x"}]},
    "data is null": {"data": None},
    "node is null": {"data": {"assetNodeOrError": None}},
    "no such asset": {"data": {"assetNodeOrError": {"__typename": "AssetNotFoundError"}}},
    "checks need a migration": {"data": {"assetNodeOrError": {"__typename": "AssetNode", "assetChecksOrError": {
        "__typename": "AssetCheckNeedsMigrationError"}}}},
    "no checks": {"data": {"assetNodeOrError": {"__typename": "AssetNode", "assetChecksOrError": {
        "__typename": "AssetChecks", "checks": []}}}},
    "the check twice": {"data": {"assetNodeOrError": {"__typename": "AssetNode", "assetChecksOrError": {
        "__typename": "AssetChecks", "checks": [
            {"name": "seven_day_zero_delta", "executionForLatestMaterialization": execution()}] * 2}}}},
    "never evaluated": wrapped(None),
    "execution failed": wrapped(execution(status="EXECUTION_FAILED")),
    "in progress": wrapped(execution(status="IN_PROGRESS")),
    "skipped": wrapped(execution(status="SKIPPED")),
    "failed, though it says open": wrapped(execution(status="FAILED")),
    "an unknown status": wrapped(execution(status="succeeded")),
    "a status that is a list": wrapped(execution(status=["SUCCEEDED"])),
    "no evaluation": wrapped(execution(evaluation=None)),
    "success as text": wrapped(execution(evaluation={**execution()["evaluation"], "success": "true"})),
    "not successful": wrapped(execution(evaluation={**execution()["evaluation"], "success": False})),
    "no metadata": wrapped(execution(evaluation={**execution()["evaluation"], "metadataEntries": None})),
    "two answers": wrapped(execution(evaluation={
        **execution()["evaluation"], "metadataEntries": execution()["evaluation"]["metadataEntries"] * 2})),
    "an answer that is not JSON": wrapped(execution("OPEN")),
    "an answer with a duplicate field": wrapped(execution(json.dumps(open_answer())[:-1] + ', "state": "OPEN"}')),
    "an empty answer": wrapped(execution("{}")),
    "closed, though it passed": attached(state="CLOSED"),
    "an unknown state": attached(state="open"),
    "stale": attached(as_of="2026-03-08", valid_until="2026-03-10T00:00:00.000000Z"),
    "stale, with a later end": attached(as_of="2026-03-08", valid_until="2026-03-12T00:00:00.000000Z"),
    "an end far in the future": attached(valid_until="9999-01-01T00:00:00.000000Z"),
    "of the future": attached(as_of="2026-03-11", valid_until="2026-03-13T00:00:00.000000Z"),
    "no day": attached(as_of=None),
    "a day far in the future": attached(as_of="9999-12-31"),
    "a short streak": attached(streak_days=6),
    "a streak of text": attached(streak_days="7"),
    "a boolean streak": attached(streak_days=True),
    "an empty window": attached(window_days=0),
    "fewer days than asked for here": attached(window_days=3),
    "an infinite streak": wrapped(execution(json.dumps({**open_answer(), "streak_days": float("inf")}))),
    "no rows": attached(window=[]),
    "rows of other days": attached(window=window(day="2026-03-11")),
    "a row that is not eligible": attached(window=window(eligible=False)),
    "a row that is not PASS": attached(window=window(verdict="FAIL")),
    "a row without provenance": attached(window=window(provenance=None)),
    "live days contradicted by the rows": attached(live_days=7, window=window(provenance="baseline")),
    "window is an object": attached(window={"0": 1}),
}


@pytest.mark.parametrize("answer", INVALID.values(), ids=[name.replace(" ", "_") for name in INVALID])
def test_invalid_or_closed_response_keeps_the_gate_closed(answer: Any) -> None:
    with answering(answer) as url:
        result = ask_dagster(url, POLICY, NOW)
    assert not result.open
    assert result.decision.reason.sentence
    assert "\n" not in result.decision.reason.sentence


@pytest.mark.parametrize(("status", "headers"), [
    (500, {}), (404, {}), (401, {}), (204, {}), (302, {"Location": "/elsewhere"}), (307, {"Location": "/elsewhere"}),
    (308, {"Location": "/elsewhere"}), (200, {"Content-Length": "999999"}), (200, {"Content-Encoding": "gzip"}),
])
def test_http_error_redirect_or_encoded_body_keeps_the_gate_closed(status: int, headers: dict[str, str]) -> None:
    body = wrapped(execution()) if "Content-Encoding" not in headers else b"\x1f\x8b"
    with answering(body, status=status, headers=headers) as url:
        assert not ask_dagster(url, POLICY, NOW).open


def test_too_few_live_days_keep_the_gate_closed() -> None:
    days = {day: DayEvidence(day, Verdict.PASS, Provenance.BASELINE, "d", False)
            for day in (NOW.date() - timedelta(days=n) for n in range(8))}
    with answering(wrapped(execution(current_gate(days, POLICY, NOW).as_json_value()))) as url:
        assert ask_dagster(url, POLICY, NOW).open
        assert not ask_dagster(url, POLICY, NOW, require_live=1).open
        assert not ask_dagster(url, POLICY.model_copy(update={"min_live_days": 1}), NOW).open


def test_oversized_response_keeps_the_gate_closed() -> None:
    with answering(b"[" + b" " * 2_000_000) as url:
        assert "too long or too slow" in ask_dagster(url, POLICY, NOW).decision.reason.sentence


def test_unreachable_server_keeps_the_gate_closed() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        assert not ask_dagster(f"http://127.0.0.1:{free.getsockname()[1]}", POLICY, NOW).open


@pytest.mark.parametrize("url", ["", "localhost:3000", "file:///etc/passwd", "ftp://h", "http://", "http://h:port",
                                 "http://user:canary@h", "http://h?x=1", "http://h\n", "http://[::1"])
def test_invalid_dagster_url_is_refused_without_quoting_it(url: str) -> None:
    with pytest.raises(ConfigurationError, match="--dagster-url") as refused:
        ask_dagster(url, POLICY, NOW)
    assert "canary" not in str(refused.value)
