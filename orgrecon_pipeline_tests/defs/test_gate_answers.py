"""Responses of a web server to ``orgrecon gate --dagster-url``: only a valid one opens the gate."""

from __future__ import annotations

import http.server
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from orgrecon_pipeline.domain.errors import ConfigurationError, UsageError
from orgrecon_pipeline.domain.evidence import Provenance, Verdict
from orgrecon_pipeline.domain.gate.decision import DayEvidence
from orgrecon_pipeline.domain.identity import Identity
from orgrecon_pipeline.domain.mapping.model import GatePolicy
from orgrecon_pipeline.domain.record import instant_text
from orgrecon_pipeline.operations.gate.current import GateAnswer, current_gate
from orgrecon_pipeline.operations.gate.dagster_client import Question, ask_dagster, default_asset_key, parse_asset_key
from orgrecon_pipeline.operations.gate.dagster_server import DagsterServer
from orgrecon_pipeline_tests.support.defs.world import location, wrapped
from orgrecon_pipeline_tests.support.http_server import serving


@contextmanager
def answering(
    answer: Any, *, status: int = 200, headers: dict[str, str] | None = None, requests: list[Any] | None = None
) -> Iterator[str]:
    """Run a web server that always gives this response; yield its URL.

    The path of each request, and its headers together with its ``body``, are appended to ``requests``.
    """
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"])).decode()
            if requests is not None:
                self.headers["body"] = content
                requests.append((self.path, self.headers))
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST

        def log_message(self, *_: Any) -> None: ...

    with serving(http.server.HTTPServer(("127.0.0.1", 0), Handler)) as url:
        yield url


NOW = datetime(2026, 3, 10, 12, tzinfo=timezone.utc)
POLICY = GatePolicy()
IDENTITY = Identity("org-v23", "prod")
LEDGER = "a" * 16
OTHER = {"migration": "org-v23", "environment": "staging", "ledger": "b" * 16}
QUESTION = Question(IDENTITY, POLICY)
TOKEN = "t0ken-k4n4ry"


def ask(
    url: str, question: Question = QUESTION, now: datetime = NOW, *, require_live: int = 0, **environ: str
) -> GateAnswer:
    return ask_dagster(DagsterServer.at(url, environ), question, now, require_live=require_live)


def open_answer() -> dict[str, Any]:
    days = {day: DayEvidence(day, Verdict.PASS, Provenance.LIVE, "d", True)
            for day in (NOW.date() - timedelta(days=n) for n in range(8))}
    return current_gate(days, POLICY, NOW, identity=IDENTITY, ledger=LEDGER).as_json_value()


def execution(answer: Any = None, claims: Any = (), at: datetime = NOW, **changes: Any) -> dict[str, Any]:
    evaluation = {"success": True, "timestamp": at.timestamp(), "metadataEntries": [
        {"__typename": "TextMetadataEntry", "label": "state"},
        {"__typename": "JsonMetadataEntry", "label": "answer",
         "jsonString": answer if isinstance(answer, str) else json.dumps(answer or open_answer())},
        {"__typename": "JsonMetadataEntry", "label": "claims", "jsonString": json.dumps(claims)},
    ]}
    return {"status": "SUCCEEDED", "evaluation": evaluation, **changes}


def attached(**changes: Any) -> dict[str, Any]:
    return wrapped(execution({**open_answer(), **changes}))


def window(**changes: Any) -> list[dict[str, Any]]:
    *rows, last = open_answer()["window"]
    return [*rows, {**last, **changes}]


def test_valid_open_answer_opens_the_gate() -> None:
    with answering(wrapped(execution())) as url:
        answer = ask(url, require_live=7)
        assert answer.open
        assert answer.as_json_value() == open_answer()
        assert ask(f"{url}/graphql").open
        assert ask(url, now=NOW + timedelta(days=1, hours=11, minutes=59)).open


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
    "no list of collisions": wrapped(execution(), assetNodeDefinitionCollisions=None),
    "another environment": attached(environment="staging"),
    "another migration": attached(migration="org-v24"),
    "no identity": attached(migration=None),
    "a ledger without an id": attached(ledger="prod"),
    "reports instead of a ledger": attached(ledger=None),
    "no time": wrapped(execution(evaluation={**execution()["evaluation"], "timestamp": None})),
    "a time that is none": wrapped(execution(evaluation={**execution()["evaluation"], "timestamp": 1e300})),
    "no executions": wrapped(execution(), assetCheckExecutions=None),
    "an execution that is a list": wrapped(execution(), ["x"]),
    "claims that are an object": wrapped(execution(claims={})),
    "no workspace": wrapped(execution(), workspaceOrError={"__typename": "PythonError"}),
    "no code location": wrapped(execution(), workspaceOrError={"__typename": "Workspace", "locationEntries": []}),
}


@pytest.mark.parametrize("answer", INVALID.values(), ids=[name.replace(" ", "_") for name in INVALID])
def test_invalid_or_closed_response_keeps_the_gate_closed(answer: Any) -> None:
    with answering(answer) as url:
        result = ask(url)
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
        assert not ask(url).open


def test_too_few_live_days_keep_the_gate_closed() -> None:
    days = {day: DayEvidence(day, Verdict.PASS, Provenance.BASELINE, "d", False)
            for day in (NOW.date() - timedelta(days=n) for n in range(8))}
    answer = current_gate(days, POLICY, NOW, identity=IDENTITY, ledger=LEDGER).as_json_value()
    with answering(wrapped(execution(answer))) as url:
        assert ask(url).open
        assert not ask(url, require_live=1).open
        assert not ask(url, Question(IDENTITY, POLICY.model_copy(update={"min_live_days": 1}))).open


def test_oversized_response_keeps_the_gate_closed() -> None:
    with answering(b"[" + b" " * 3_000_000) as url:
        assert "too long or too slow" in ask(url).decision.reason.sentence


def test_unreachable_server_keeps_the_gate_closed() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        assert not ask(f"http://127.0.0.1:{free.getsockname()[1]}").open


@pytest.mark.parametrize("url", ["", "localhost:3000", "file:///etc/passwd", "ftp://h", "http://", "http://h:port",
                                 "http://user:canary@h", "http://h?x=1", "http://h\n", "http://[::1"])
def test_invalid_dagster_url_is_refused_without_quoting_it(url: str) -> None:
    with pytest.raises(ConfigurationError, match="--dagster-url") as refused:
        ask(url)
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize("entry", [
    location("other", status="LOADING"), location("other", status="LOADING", loaded=None),
    location("other", loaded="PythonError"), location("other", loaded=None), "other", None,
], ids=str)
def test_code_location_that_is_not_loaded_keeps_the_gate_closed(entry: Any) -> None:
    workspace = {"__typename": "Workspace", "locationEntries": [location("orgrecon"), entry]}
    with answering(wrapped(execution(), workspaceOrError=workspace)) as url:
        answer = ask(url)
    assert not answer.open
    name = "other" if isinstance(entry, dict) else "a location without a name"
    assert f"because {name} is not loaded" in answer.decision.reason.sentence


def test_asset_of_two_code_locations_keeps_the_gate_closed_and_names_both() -> None:
    collision = {"repositories": [{"location": {"name": name}} for name in ("staging", "prod", "prod\n2")]}
    with answering(wrapped(execution(), assetNodeDefinitionCollisions=[collision])) as url:
        answer = ask(url)
    assert not answer.open
    assert "the asset drift_gate (prod, prod 2, staging)" in answer.decision.reason.sentence


@pytest.mark.parametrize(("environ", "header", "value"), [
    ({}, "Dagster-Cloud-Api-Token", TOKEN),
    ({"ORGRECON_DAGSTER_TOKEN_HEADER": "X-Token"}, "X-Token", TOKEN),
    ({"ORGRECON_DAGSTER_TOKEN_HEADER": "Authorization"}, "Authorization", f"Bearer {TOKEN}"),
    ({"ORGRECON_DAGSTER_TOKEN_HEADER": "authorization", "ORGRECON_DAGSTER_TOKEN": f"Basic {TOKEN}"},
     "Authorization", f"Basic {TOKEN}"),
    ({"ORGRECON_DAGSTER_TOKEN": f"{TOKEN}\n"}, "Dagster-Cloud-Api-Token", TOKEN),
])
def test_token_is_sent_in_its_header_below_a_path_prefix(environ: dict[str, str], header: str, value: str) -> None:
    requests: list[Any] = []
    with answering(wrapped(execution()), requests=requests) as url:
        assert ask(f"{url}/team/dagster/", **{"ORGRECON_DAGSTER_TOKEN": TOKEN, **environ}).open
        assert [(path, headers[header]) for path, headers in requests] == [("/team/dagster/graphql", value)] * 2
        requests.clear()
        assert ask(url).open
        assert TOKEN not in str(requests[0][1])


@pytest.mark.parametrize("environ", [
    {"ORGRECON_DAGSTER_TOKEN": f"{TOKEN}\r\nHost: other"}, {"ORGRECON_DAGSTER_TOKEN": f"{TOKEN}\u00e9"},
    {"ORGRECON_DAGSTER_TOKEN": "x", "ORGRECON_DAGSTER_TOKEN_HEADER": f"{TOKEN}="},
    {"ORGRECON_DAGSTER_TOKEN": TOKEN, "ORGRECON_DAGSTER_TOKEN_HEADER": "Host"},
    {"ORGRECON_DAGSTER_TOKEN": TOKEN, "ORGRECON_DAGSTER_TOKEN_HEADER": "X: y"},
])
def test_token_that_no_header_can_hold_is_refused_without_quoting_it(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="ORGRECON_DAGSTER_TOKEN") as refused:
        ask("http://h", **environ)
    assert TOKEN not in str(refused.value)


def test_token_does_not_follow_a_redirect_and_is_not_shown() -> None:
    elsewhere: list[Any] = []
    environ = {"ORGRECON_DAGSTER_TOKEN": TOKEN}
    for status in (301, 302, 303, 307, 308):
        with answering(wrapped(execution()), requests=elsewhere) as other, \
                answering(b"", status=status, headers={"Location": f"{other}/login?token={TOKEN}"}) as url:
            sentence = ask(url, **environ).decision.reason.sentence
        assert f"redirects to {other} (HTTP {status}), which is not followed" in sentence
        assert TOKEN not in sentence
    assert elsewhere == []
    assert TOKEN not in repr(DagsterServer.at("http://h", environ))


@pytest.mark.parametrize(("status", "headers", "environ", "said"), [
    (401, {}, {}, "HTTP 401): set ORGRECON_DAGSTER_TOKEN"),
    (403, {}, {"ORGRECON_DAGSTER_TOKEN": TOKEN}, "HTTP 403): check --dagster-url, ORGRECON_DAGSTER_TOKEN and"),
    (200, {"Content-Type": "text/html; charset=utf-8"}, {}, "such as a login page: set ORGRECON_DAGSTER_TOKEN"),
    (404, {}, {}, "has no GraphQL at this address (HTTP 404): check --dagster-url and its path prefix"),
    (302, {"Location": "/login"}, {}, "redirects to another address (HTTP 302), which is not followed: set"),
])
def test_refusal_of_a_server_says_what_to_do(
    status: int, headers: dict[str, str], environ: dict[str, str], said: str,
) -> None:
    with answering(wrapped(execution()), status=status, headers=headers) as url:
        answer = ask(url, **environ)
    assert not answer.open
    assert said in answer.decision.reason.sentence
    assert TOKEN not in answer.decision.reason.sentence


def test_asset_with_a_key_prefix_is_asked_for_by_its_key() -> None:
    requests: list[Any] = []
    with answering(wrapped(execution()), requests=requests) as url:
        assert ask(url, Question(IDENTITY, POLICY, asset=parse_asset_key("company/prod/drift_gate"))).open
        assert {json.dumps(["company", "prod", "drift_gate"])} == {
            json.dumps(key["path"]) for _, headers in requests for key in asked_keys(headers["body"])}


def test_asset_key_is_by_default_that_of_the_default_location() -> None:
    assert default_asset_key({}) == "drift_gate"
    assert default_asset_key({"ORGRECON_KEY_PREFIX": "company/prod"}) == "company/prod/drift_gate"


@pytest.mark.parametrize("key", ["", "/drift_gate", "drift_gate/", "a//b", " ", "a\nb"])
def test_invalid_asset_key_is_refused(key: str) -> None:
    with pytest.raises(UsageError, match="--asset-key"):
        parse_asset_key(key)


def asked_keys(body: str) -> list[Any]:
    variables = json.loads(body)["variables"]
    return [variables["asset"]] if "asset" in variables else variables["assets"]


def claimed(at: datetime, *, accepted: bool, **changes: Any) -> dict[str, Any]:
    return {**OTHER, "copy": False, "at": instant_text(at), "accepted": accepted, **changes}


EARLIER, LATER = NOW - timedelta(hours=1), NOW + timedelta(hours=1)


def other_execution(at: datetime = EARLIER) -> dict[str, Any]:
    return execution({**open_answer(), **OTHER}, at=at)


def failed(at: datetime, answer: Any = None) -> dict[str, Any]:
    return execution(answer, status="FAILED", evaluation={**execution(answer, at=at)["evaluation"], "success": False})


ACCEPTED = claimed(EARLIER, accepted=True)
HISTORIES: dict[str, tuple[bool, dict[str, Any]]] = {
    "own": (True, wrapped(execution(), execution(at=EARLIER), {"status": "EXECUTION_FAILED", "evaluation": None})),
    "other ledger": (False, wrapped(execution(), other_execution())),
    "same identity": (False, wrapped(execution(), execution({**open_answer(), "ledger": "b" * 16}, at=EARLIER))),
    "accepted": (True, wrapped(execution(claims=[ACCEPTED]), other_execution())),
    "again after the acceptance": (False, wrapped(execution(claims=[ACCEPTED]), other_execution(NOW))),
    "another one is accepted": (
        False, wrapped(execution(claims=[{**ACCEPTED, "ledger": "c" * 16}]), other_execution())),
    "carried and accepted": (True, wrapped(execution(claims=[ACCEPTED]))),
    "carried": (False, wrapped(execution(claims=[claimed(EARLIER, accepted=False)]))),
    "carried by an earlier one only": (False, wrapped(execution(), execution(claims=[ACCEPTED], at=EARLIER))),
    "acceptance of another type": (False, wrapped(execution(claims=[{**ACCEPTED, "accepted": "yes"}]))),
    "unreadable": (False, wrapped(execution(), execution("{}", at=EARLIER))),
    "closed earlier": (True, wrapped(execution(), failed(EARLIER))),
    "closed later": (False, wrapped(execution(), failed(LATER))),
}


@pytest.mark.parametrize(
    ("opens", "response"), HISTORIES.values(), ids=[name.replace(" ", "_") for name in HISTORIES])
def test_open_answer_opens_only_if_every_other_ledger_in_the_history_is_accepted(
    opens: bool, response: dict[str, Any],
) -> None:
    with answering(response) as url:
        answer = ask(url)
    assert answer.open is opens, answer.decision.reason.sentence


def test_answer_of_another_identity_is_not_shown() -> None:
    with answering(wrapped(failed(NOW, {**open_answer(), **OTHER, "state": "CLOSED"}))) as url:
        answer = ask(url)
    assert answer.identity == IDENTITY
    assert answer.decision.streak_days == 0
    assert "its answer is about org-v23 in staging, but org-v23 in prod was asked" in answer.decision.reason.sentence
