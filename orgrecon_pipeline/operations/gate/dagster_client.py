"""The gate as a Dagster deployment tells it: the check ``seven_day_zero_delta``, read through GraphQL.

It fails closed. Whatever is not a check that succeeded, passed, and carries a whole, fresh and consistent answer that
says OPEN, is CLOSED with the reason. No Dagster is needed to ask.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from orgrecon_pipeline.domain.days import days_ending, parse_day, utc_day
from orgrecon_pipeline.domain.errors import ConfigurationError, UsageError
from orgrecon_pipeline.domain.evidence import KINDS, Provenance, Verdict
from orgrecon_pipeline.domain.gate import GateDecision, GateState, WindowRow, valid_until
from orgrecon_pipeline.domain.mapping import GatePolicy
from orgrecon_pipeline.domain.record import instant_text
from orgrecon_pipeline.operations.gate.current import GateAnswer, current_gate, requiring

ASSET = "drift_gate"
CHECK = "seven_day_zero_delta"

_SECONDS = 15.0
_MAX_BYTES = 1_000_000
_QUERY = """query OrgreconGate {
  assetNodeOrError(assetKey: {path: ["%s"]}) {
    __typename
    ... on AssetNode {
      assetChecksOrError {
        __typename
        ... on AssetChecks {
          checks {
            name
            executionForLatestMaterialization {
              status
              evaluation {
                success
                severity
                metadataEntries { __typename label ... on JsonMetadataEntry { jsonString } }
              }
            }
          }
        }
      }
    }
  }
}""" % ASSET  # noqa: UP031 (braces)


class _Closed(Exception):
    """Why what Dagster says does not open the gate, as a sentence without its full stop."""


def ask_dagster(url: str, policy: GatePolicy, now: datetime, *, require_live: int = 0) -> GateAnswer:
    """The gate by the check of a Dagster deployment.

    Args:
        url: of the web server, with or without a path prefix or ``/graphql``.
        policy: the rules in force here; a deployment that asks for fewer days does not open the gate.
        now: the current moment.
        require_live: how many of the counted days must have compared a live database.

    Raises:
        ConfigurationError: when ``url`` is none.
        UsageError: when ``require_live`` is more than the window has days.
    """
    policy = requiring(policy, require_live)
    endpoint = _endpoint(url)
    try:
        answer = _post(endpoint)
    except _Closed as closed:
        return _closed(closed, policy, now)
    return decide_from_response(answer, policy, now)


def decide_from_response(answer: Any, policy: GatePolicy, now: datetime) -> GateAnswer:
    """The gate by what GraphQL answered, trusting nothing of it; see :func:`ask_dagster`."""
    try:
        return _judged(_execution(answer), policy, now)
    except _Closed as closed:
        return _closed(closed, policy, now)


def _closed(closed: _Closed, policy: GatePolicy, now: datetime) -> GateAnswer:
    return current_gate({}, policy, now, distrust=f"Dagster does not say that the gate is open: {closed}")


def _endpoint(url: str) -> str:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https") or parts.query or parts.fragment or not url.isprintable():
        raise ConfigurationError("--dagster-url is not a web address: write http://host:3000, or https://host/prefix.")
    if parts.username is not None:
        raise ConfigurationError("--dagster-url holds a user name: it would be sent in clear, leave it out.")
    path = parts.path.rstrip("/").removesuffix("/graphql")
    return f"{parts.scheme}://{parts.netloc}{path}/graphql"


class _NoRedirect(HTTPRedirectHandler):
    # A login page that answers 200 after a redirect is no answer, and the question must not travel elsewhere.
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def _post(endpoint: str) -> Any:
    request = Request(  # noqa: S310 (the scheme is checked)
        endpoint, data=json.dumps({"query": _QUERY}).encode(),
        headers={"Content-Type": "application/json", "Accept": "application/json"}, method="POST",
    )
    deadline = time.monotonic() + _SECONDS
    try:
        with build_opener(_NoRedirect).open(request, timeout=_SECONDS) as answer:
            if answer.status != 200:
                raise _Closed(f"it answers with HTTP {answer.status}")
            body = b""
            while chunk := answer.read1(65536):
                body += chunk
                if len(body) > _MAX_BYTES or time.monotonic() > deadline:
                    raise _Closed("its answer does not end")
            if answer.length:
                raise _Closed("its answer is cut off")
    except _Closed:
        raise
    except HTTPError as error:
        error.close()
        raise _Closed(f"it answers with HTTP {error.code}") from None
    except URLError as error:
        raise _Closed(f"it does not answer ({type(error.reason).__name__})") from None
    except Exception as error:
        # http.client has errors of many kinds for what is no HTTP; none of them may open the gate.
        raise _Closed(f"it does not answer ({type(error).__name__})") from None
    return _json(body)


def _json(text: str | bytes) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        raise _Closed("its answer cannot be read") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a field is given twice")
    return found


def _execution(answer: Any) -> Mapping[str, Any]:
    if not isinstance(answer, dict) or answer.get("errors"):
        raise _Closed("it answers with an error")
    node = _object(answer, "data", "assetNodeOrError")
    if node.get("__typename") != "AssetNode":
        raise _Closed(f"it knows no asset {ASSET}")
    checks = _object(node, "assetChecksOrError")
    listed = checks.get("checks")
    if checks.get("__typename") != "AssetChecks" or not isinstance(listed, list):
        raise _Closed(f"it does not list the checks of {ASSET}")
    ours = [check for check in listed if isinstance(check, dict) and check.get("name") == CHECK]
    if len(ours) != 1:
        raise _Closed(f"it has {len(ours)} checks named {CHECK}")
    return _object(ours[0], "executionForLatestMaterialization")


def _object(value: Any, *path: str) -> dict[str, Any]:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    if not isinstance(value, dict):
        raise _Closed(f"{path[-1]} is empty: {CHECK} was never evaluated on the latest materialisation")
    return value


def _judged(execution: Mapping[str, Any], policy: GatePolicy, now: datetime) -> GateAnswer:
    status = execution.get("status")
    if status == "IN_PROGRESS":
        raise _Closed("the gate is being decided right now, ask again")
    if status not in ("SUCCEEDED", "FAILED"):
        raise _Closed(f"the check did not run to its end ({_word(status)}), its run says why")
    evaluation = _object(execution, "evaluation")
    told = _answer(evaluation)
    passed = status == "SUCCEEDED" and evaluation.get("success") is True
    if passed is not (told.decision.state is GateState.OPEN):
        raise _Closed("the check and the answer that it carries contradict each other")
    return standing(told, policy, now)


def standing(told: GateAnswer, policy: GatePolicy, now: datetime) -> GateAnswer:
    """The same answer, CLOSED where it does not open the gate here and now."""
    if told.open and (wrong := _why_not(told, policy, now)):
        return replace(told, decision=told.decision.closed_because(wrong))
    return told


def _why_not(told: GateAnswer, policy: GatePolicy, now: datetime) -> str:
    """Why an answer that says OPEN does not open the gate here and now; empty when it does."""
    judged, today = told.decision, utc_day(now)
    counted = judged.window[-judged.window_days:]
    if told.as_of > today:
        return f"Dagster's answer is of {told.as_of}, and it is {today} in UTC by this machine's clock: check it"
    if told.valid_until != valid_until(told.as_of) or now >= told.valid_until:
        return f"Dagster's answer is of {told.as_of}, older than yesterday: it no longer says anything about now"
    if judged.window_days < policy.window_days:
        return (f"the deployment asks for {judged.window_days} clean days, and the mapping here for "
                f"{policy.window_days}: name the deployment's mapping with --mapping")
    consecutive = tuple(row.day for row in counted) == days_ending(told.as_of, judged.window_days)
    clean = all(row.eligible and row.verdict is Verdict.PASS for row in counted)
    if judged.streak_days < judged.window_days or not consecutive or not clean:
        return "Dagster's answer says OPEN, and its window does not: it cannot be trusted"
    if sum(row.provenance is Provenance.LIVE for row in counted) != judged.live_days:
        return "Dagster's answer counts its live days wrongly: it cannot be trusted"
    if judged.live_days < policy.min_live_days:
        return f"only {judged.live_days} of the {policy.min_live_days} required live days"
    return ""


def _answer(evaluation: Mapping[str, Any]) -> GateAnswer:
    entries = evaluation.get("metadataEntries")
    held = [
        entry.get("jsonString") for entry in entries if isinstance(entry, dict) and entry.get("label") == "answer"
    ] if isinstance(entries, list) else []
    if len(held) != 1 or not isinstance(held[0], str):
        raise _Closed("the check carries no answer")
    try:
        return _parsed(_json(held[0]))
    except (KeyError, TypeError, ValueError, UsageError, OverflowError):
        raise _Closed("the answer that the check carries cannot be read") from None


def _parsed(value: Any) -> GateAnswer:
    """The reverse of :meth:`GateAnswer.as_json_value`."""
    as_of = _day(value["as_of"])
    until = valid_until(as_of)
    if value["valid_until"] != instant_text(until):
        raise ValueError
    decision = GateDecision(
        day=as_of, state=GateState(value["state"]), reason=_text(value["reason"]),
        streak_days=_number(value["streak_days"]), window_days=_number(value["window_days"], at_least=1),
        counted={provenance: _number(value["counted"][provenance.value]) for provenance in Provenance},
        earliest_open_day=_day(value["earliest_open_day"]),
        window=tuple(_row(row) for row in value["window"]),
    )
    if _number(value["live_days"]) != decision.live_days:
        raise ValueError
    return GateAnswer(decision, as_of, until)


def _row(row: Any) -> WindowRow:
    if not isinstance(row["eligible"], bool):
        raise TypeError
    return WindowRow(
        day=_day(row["day"]), verdict=Verdict(row["verdict"]),
        provenance=None if row["provenance"] is None else Provenance(row["provenance"]),
        drift={kind: None if row[kind] is None else _number(row[kind]) for kind in KINDS},
        eligible=row["eligible"], why_not="",
    )


def _day(text: Any) -> date:
    day = parse_day(_text(text))
    if not date(2000, 1, 1) <= day <= date(9000, 1, 1):
        raise ValueError
    return day


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return " ".join(value.split())[:1000]


def _number(value: Any, *, at_least: int = 0) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not at_least <= value <= 1_000_000:
        raise ValueError
    return value


def _word(value: Any) -> str:
    return value[:30] if isinstance(value, str) and value.isidentifier() else "no status"
