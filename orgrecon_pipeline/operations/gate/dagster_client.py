"""GraphQL client for the gate check ``seven_day_zero_delta`` of a Dagster deployment; it does not import Dagster.

The gate is OPEN only if the check succeeded, passed, and has a complete, current and consistent OPEN answer. Everything
else is CLOSED, with the reason.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from orgrecon_pipeline.domain.days import days_ending, utc_day
from orgrecon_pipeline.domain.errors import ConfigurationError
from orgrecon_pipeline.domain.evidence import Provenance, Verdict
from orgrecon_pipeline.domain.gate import GateState, valid_until
from orgrecon_pipeline.domain.mapping import GatePolicy
from orgrecon_pipeline.domain.reasons import Reason, ReasonCode, counted
from orgrecon_pipeline.operations.gate.current import GateAnswer, current_gate, require_live_days

ASSET = "drift_gate"
CHECK = "seven_day_zero_delta"

_SECONDS = 15.0
_MAX_BYTES = 1_000_000
_QUERY = """query OrgreconGate {
  assetNodeOrError(assetKey: {path: ["%s"]}) {
    __typename ... on AssetNode {
      assetChecksOrError {
        __typename ... on AssetChecks {
          checks { name executionForLatestMaterialization { status evaluation {
            success metadataEntries { label ... on JsonMetadataEntry { jsonString } }
          } } }
        }
      }
    }
  }
}""" % ASSET  # noqa: UP031 (braces)


class _Closed(Exception):
    """The reason why the response does not open the gate: a sentence without its full stop."""


def ask_dagster(
    url: str, policy: GatePolicy, now: datetime, *, require_live: int = 0, mapping_digest: str | None = None
) -> GateAnswer:
    """Return the gate answer of a Dagster deployment.

    Args:
        url: the address of the web server; a path prefix and ``/graphql`` are optional.
        policy: the local gate policy; a deployment with a looser policy does not open the gate.
        now: the current time.
        require_live: the minimum number of counted live days.
        mapping_digest: the digest of the local mapping; a deployment that compared another one does not open the gate.

    Raises:
        ConfigurationError: if ``url`` is not a web address.
        UsageError: if ``require_live`` exceeds the number of days in the window.
    """
    policy = require_live_days(policy, require_live)
    try:
        response = _post(_endpoint(url))
    except _Closed as closed:
        return _closed(closed, policy, now)
    return decide_from_response(response, policy, now, mapping_digest)


def decide_from_response(
    response: Any, policy: GatePolicy, now: datetime, mapping_digest: str | None = None
) -> GateAnswer:
    """Return the gate answer in a GraphQL response, which is not trusted; see :func:`ask_dagster`."""
    try:
        return recheck(_answer_of_execution(_execution(response)), policy, now, mapping_digest)
    except _Closed as closed:
        return _closed(closed, policy, now)


def _closed(closed: _Closed, policy: GatePolicy, now: datetime) -> GateAnswer:
    return current_gate(
        {}, policy, now, distrust=_not_open(f"Dagster does not confirm that the gate is open: {closed}"))


def _not_open(sentence: str) -> Reason:
    return Reason.word(ReasonCode.DAGSTER_NOT_OPEN, sentence, detail=sentence)


def _endpoint(url: str) -> str:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https") or parts.query or parts.fragment or not url.isprintable():
        raise ConfigurationError("--dagster-url is not a web address: write http://host:3000 or https://host/prefix.")
    if parts.username is not None:
        raise ConfigurationError("--dagster-url contains a user name, which would be sent unencrypted: leave it out.")
    path = parts.path.rstrip("/").removesuffix("/graphql")
    return f"{parts.scheme}://{parts.netloc}{path}/graphql"


class _NoRedirect(HTTPRedirectHandler):
    # After a redirect, a login page would answer with 200, and the query would go to another host.
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def _post(endpoint: str) -> Any:
    request = Request(  # noqa: S310 (the scheme is checked)
        endpoint, data=json.dumps({"query": _QUERY}).encode(),
        headers={"Content-Type": "application/json", "Accept": "application/json"}, method="POST")
    deadline = time.monotonic() + _SECONDS
    try:
        with build_opener(_NoRedirect).open(request, timeout=_SECONDS) as response:
            if response.status != 200:
                raise _Closed(f"the web server responded with HTTP {response.status}")
            body = b""
            while chunk := response.read1(65536):
                body += chunk
                if len(body) > _MAX_BYTES or time.monotonic() > deadline:
                    raise _Closed("the response is too long or too slow")
            if response.length:
                raise _Closed("the response is incomplete")
    except _Closed:
        raise
    except HTTPError as error:
        error.close()
        raise _Closed(f"the web server responded with HTTP {error.code}") from None
    except URLError as error:
        raise _Closed(f"the web server cannot be reached ({type(error.reason).__name__})") from None
    except Exception as error:
        # http.client raises many kinds of errors for a response that is not HTTP; none of them may open the gate.
        raise _Closed(f"the web server sent no valid response ({type(error).__name__})") from None
    return _json(body)


def _json(text: str | bytes) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_unique_fields)
    except (ValueError, RecursionError):
        raise _Closed("the response is not valid JSON") from None


def _unique_fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("duplicate field")
    return fields


def _execution(response: Any) -> Mapping[str, Any]:
    """Return the latest execution of the check."""
    if not isinstance(response, dict) or response.get("errors"):
        raise _Closed("GraphQL returned an error")
    node = _object(response, "data", "assetNodeOrError")
    if node.get("__typename") != "AssetNode":
        raise _Closed(f"the deployment has no asset {ASSET}")
    checks = _object(node, "assetChecksOrError")
    listed = checks.get("checks")
    if checks.get("__typename") != "AssetChecks" or not isinstance(listed, list):
        raise _Closed(f"the deployment does not list the checks of {ASSET}")
    named = [check for check in listed if isinstance(check, dict) and check.get("name") == CHECK]
    if len(named) != 1:
        raise _Closed(f"{ASSET} must have one check named {CHECK}, but has {len(named)}")
    return _object(named[0], "executionForLatestMaterialization")


def _object(value: Any, *path: str) -> dict[str, Any]:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    if not isinstance(value, dict):
        raise _Closed(f"{CHECK} was not evaluated on the latest materialisation ({path[-1]} is empty)")
    return value


def _answer_of_execution(execution: Mapping[str, Any]) -> GateAnswer:
    status = execution.get("status")
    if status == "IN_PROGRESS":
        raise _Closed("the check is still running, ask again later")
    if status not in ("SUCCEEDED", "FAILED"):
        raise _Closed(f"the check did not finish ({_word(status)}), see its run in Dagster")
    evaluation = _object(execution, "evaluation")
    answer = _attached_answer(evaluation)
    passed = status == "SUCCEEDED" and evaluation.get("success") is True
    if passed is not (answer.decision.state is GateState.OPEN):
        raise _Closed("the result of the check contradicts the answer in its metadata")
    return answer


def recheck(answer: GateAnswer, policy: GatePolicy, now: datetime, mapping_digest: str | None = None) -> GateAnswer:
    """Return the answer, CLOSED if it does not open the gate under ``policy`` and the mapping at ``now``."""
    if answer.open and (reason := _why_closed(answer, policy, now, mapping_digest)):
        return replace(answer, decision=answer.decision.closed_because(_not_open(reason)))
    return answer


def _why_closed(answer: GateAnswer, policy: GatePolicy, now: datetime, mapping_digest: str | None) -> str:
    """Return why an OPEN answer does not open the gate under ``policy`` at ``now``; empty if it does."""
    decision, today = answer.decision, utc_day(now)
    rows = decision.window[-decision.window_days:]
    if answer.as_of > today:
        return f"Dagster's answer is of {answer.as_of}, but this machine's clock shows {today} (UTC): check the clock"
    if answer.valid_until != valid_until(answer.as_of) or now >= answer.valid_until:
        return f"Dagster's answer is of {answer.as_of}, older than yesterday: check that the deployment's schedule runs"
    if decision.window_days < policy.window_days:
        return (f"the deployment requires {counted(decision.window_days, 'clean day')}, but the mapping here requires "
                f"{policy.window_days}: name the deployment's mapping with --mapping")
    if policy.same_day == "worst" != decision.policy.same_day:
        return "the deployment decides a day by its latest observation, but the mapping here by the worst: " \
               "name the deployment's mapping with --mapping"
    compared = any(row.provenance is not None and row.provenance.compared for row in rows)
    if mapping_digest is not None and compared and decision.epoch != mapping_digest:
        return (f"the deployment compared another mapping (epoch {decision.epoch[:12]}) than the one at hand "
                f"({mapping_digest[:12]}): name the deployment's mapping with --mapping")
    consecutive = tuple(row.day for row in rows) == days_ending(answer.as_of, decision.window_days)
    clean = all(row.eligible and row.verdict is Verdict.PASS for row in rows)
    if decision.streak_days < decision.window_days or not consecutive or not clean:
        return "Dagster's answer says OPEN, but its window is not clean: it cannot be trusted"
    if sum(row.provenance is Provenance.LIVE for row in rows) != decision.live_days:
        return "Dagster's answer states another number of live days than its window: it cannot be trusted"
    if decision.live_days < policy.min_live_days:
        return f"Dagster's answer counts only {decision.live_days} of the {policy.min_live_days} required live days"
    return ""


def _attached_answer(evaluation: Mapping[str, Any]) -> GateAnswer:
    entries = evaluation.get("metadataEntries")
    attached = [
        entry.get("jsonString") for entry in entries if isinstance(entry, dict) and entry.get("label") == "answer"
    ] if isinstance(entries, list) else []
    if len(attached) != 1 or not isinstance(attached[0], str):
        raise _Closed("the check has no answer in its metadata")
    _json(attached[0])  # refuses duplicate fields
    try:
        return GateAnswer.from_json(attached[0])
    except ValueError:
        raise _Closed("the answer in the metadata of the check is invalid") from None


def _word(value: Any) -> str:
    return value[:30] if isinstance(value, str) and value.isidentifier() else "no status"
