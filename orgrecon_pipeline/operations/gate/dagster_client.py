"""The gate answer in the check ``seven_day_zero_delta`` of a Dagster deployment; it does not import Dagster.

The gate is OPEN only if the check succeeded, passed, and has a complete, current and consistent OPEN answer, and if
only one code location can have evaluated it. Everything else is CLOSED, with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from orgrecon_pipeline.domain.days import days_ending, utc_day
from orgrecon_pipeline.domain.errors import UsageError
from orgrecon_pipeline.domain.evidence import Provenance, Verdict
from orgrecon_pipeline.domain.gate.claims import first_unaccepted, other_ledger
from orgrecon_pipeline.domain.gate.decision import valid_until
from orgrecon_pipeline.domain.identity import Identity
from orgrecon_pipeline.domain.mapping.model import GatePolicy
from orgrecon_pipeline.domain.reasons import Reason, ReasonCode, counted
from orgrecon_pipeline.operations.gate.current import GateAnswer, current_gate, require_live_days
from orgrecon_pipeline.operations.gate.dagster_evaluations import (
    EXECUTIONS,
    FIELDS,
    GATE_CHECK,
    Evaluation,
    displayed_evaluation,
    listed_evaluations,
)
from orgrecon_pipeline.operations.gate.dagster_server import DagsterServer, NotConfirmed

GATE_ASSET = "drift_gate"
#: Names the prefix of the asset keys of the default code location, such as ``company/prod``.
KEY_PREFIX_VARIABLE = "ORGRECON_KEY_PREFIX"
_ANSWER_QUERY = """query OrgreconGate($asset: AssetKeyInput!) {
  assetNodeOrError(assetKey: $asset) {
    __typename ... on AssetNode {
      assetChecksOrError {
        __typename ... on AssetChecks {
          checks { name executionForLatestMaterialization { %(fields)s } }
        }
      }
    }
  }
  assetCheckExecutions(assetKey: $asset, checkName: "%(check)s", limit: %(limit)d) { %(fields)s }
}""" % {"check": GATE_CHECK, "fields": FIELDS, "limit": EXECUTIONS}  # noqa: UP031 (braces)
# A second query, because it fails if no location has the asset.
_LOCATIONS_QUERY = """query OrgreconGateLocations($assets: [AssetKeyInput!]!) {
  assetNodeDefinitionCollisions(assetKeys: $assets) { repositories { location { name } } }
  workspaceOrError {
    __typename ... on Workspace {
      locationEntries { name loadStatus locationOrLoadError { __typename } }
    }
  }
}"""


@dataclass(frozen=True)
class Question:
    """What a deployment is asked for: an answer about this identity and asset, under this policy or a stricter one.

    Without a ``mapping_digest``, any mapping is accepted.
    """

    identity: Identity
    policy: GatePolicy
    mapping_digest: str | None = None
    asset: tuple[str, ...] = (GATE_ASSET,)

    @property
    def asset_name(self) -> str:
        """The asset key as the Dagster UI writes it."""
        return "/".join(self.asset)


def default_asset_key(environ: Mapping[str, str]) -> str:
    """Return the key of the asset with the check in the default code location with this environment."""
    prefix = environ.get(KEY_PREFIX_VARIABLE)
    return f"{prefix}/{GATE_ASSET}" if prefix else GATE_ASSET


def parse_asset_key(text: str) -> tuple[str, ...]:
    """Return the parts of an asset key such as ``prefix/drift_gate``; raise UsageError if it is not one."""
    parts = tuple(text.split("/"))
    if not text.isprintable() or not all(part.strip() for part in parts):
        raise UsageError(
            f"--asset-key {text[:80]!a} is not an asset key: write it as in Dagster, like prefix/{GATE_ASSET}.")
    return parts


def ask_dagster(server: DagsterServer, question: Question, now: datetime, *, require_live: int = 0) -> GateAnswer:
    """Return the gate answer of a Dagster deployment, CLOSED if it does not confirm that the gate is open.

    Args:
        server: the web server of the deployment.
        question: the local policy and mapping; a deployment with looser ones does not open the gate.
        now: the current time.
        require_live: the minimum number of counted live days.

    Raises:
        UsageError: if ``require_live`` exceeds the number of days in the window.
    """
    question = replace(question, policy=require_live_days(question.policy, require_live))
    key = {"path": list(question.asset)}
    try:
        data = server.query(_ANSWER_QUERY, {"asset": key})
        if _object(data, "assetNodeOrError").get("__typename") == "AssetNode":
            data |= server.query(_LOCATIONS_QUERY, {"assets": [key]})
    except NotConfirmed as reason:
        return _closed(reason, question, now)
    return decide_from_data(data, question, now)


def decide_from_data(data: Mapping[str, Any], question: Question, now: datetime) -> GateAnswer:
    """Return the gate answer in the data of the GraphQL responses, which is not trusted; see :func:`ask_dagster`."""
    try:
        node = _node(data, question.asset_name)
        _refuse_ambiguous_locations(data, question.asset_name)
        answer, displayed = displayed_evaluation(_execution(node, question.asset_name))
        _refuse_other_identity(displayed, question.identity)
        if answer.open:
            _refuse_disagreement(displayed, listed_evaluations(data.get("assetCheckExecutions")))
    except NotConfirmed as reason:
        return _closed(reason, question, now)
    return recheck(answer, question, now)


def _closed(reason: NotConfirmed, question: Question, now: datetime) -> GateAnswer:
    return current_gate(
        {}, question.policy, now, identity=question.identity,
        distrust=_not_open(f"Dagster does not confirm that the gate is open: {reason}"))


def _not_open(sentence: str) -> Reason:
    return Reason.word(ReasonCode.DAGSTER_NOT_OPEN, sentence, detail=sentence)


def _refuse_other_identity(displayed: Evaluation, identity: Identity) -> None:
    claimant = displayed.claims[0].claimant
    if claimant.identity != identity:
        about = claimant.identity or "an unknown migration"
        raise NotConfirmed(
            f"its answer is about {about}, but {identity} was asked for: check ORGRECON_ENVIRONMENT and --mapping, or "
            "name another asset with --asset-key")


def _refuse_disagreement(displayed: Evaluation, listed: Sequence[Evaluation]) -> None:
    """Raise NotConfirmed if an OPEN answer does not know of another ledger, or a later one is not OPEN."""
    own, *known = displayed.claims
    claims = [*known, *(claim for evaluation in listed for claim in evaluation.claims)]
    conflict = first_unaccepted(claims, own.claimant, known)
    if conflict is not None:
        raise NotConfirmed(other_ledger(conflict).sentence)
    if any(evaluation.at > displayed.at and not evaluation.passed for evaluation in listed):
        raise NotConfirmed("a later result of the check is not OPEN: ask again in a minute")


def _refuse_ambiguous_locations(data: Mapping[str, Any], asset: str) -> None:
    """Raise NotConfirmed unless it is known that exactly one code location has the asset."""
    collisions = data.get("assetNodeDefinitionCollisions")
    entries = _object(data, "workspaceOrError").get("locationEntries")
    if not isinstance(collisions, list) or not isinstance(entries, list):
        raise NotConfirmed("the deployment does not list its code locations")
    if collisions:
        claiming = sorted({_location_name(repository) for collision in collisions
                           for repository in _list(collision, "repositories")})
        raise NotConfirmed(f"more than one code location has the asset {asset} ({', '.join(claiming)}), and Dagster "
                           "does not keep their checks apart: give each its own key prefix")
    unloaded = sorted(_name(entry) for entry in entries if not _is_loaded(entry))
    if unloaded or not entries:
        raise NotConfirmed(f"it is not known whether a second code location has the asset {asset}, because "
                           f"{', '.join(unloaded) or 'none'} is not loaded: repair or remove it, then ask again")


def _is_loaded(entry: Any) -> bool:
    loaded = entry.get("locationOrLoadError") if isinstance(entry, dict) else None
    return isinstance(loaded, dict) and loaded.get("__typename") == "RepositoryLocation" and \
        entry.get("loadStatus") == "LOADED"


def _location_name(repository: Any) -> str:
    return _name(repository.get("location") if isinstance(repository, dict) else None)


def _name(value: Any) -> str:
    name = value.get("name") if isinstance(value, dict) else None
    return " ".join(name.split())[:100] if isinstance(name, str) and name.strip() else "a location without a name"


def _list(value: Any, field: str) -> list[Any]:
    items = value.get(field) if isinstance(value, dict) else None
    return items if isinstance(items, list) else []


def _node(data: Mapping[str, Any], asset: str) -> Mapping[str, Any]:
    node = _object(data, "assetNodeOrError")
    if node.get("__typename") != "AssetNode":
        raise NotConfirmed(f"the deployment has no asset {asset}: if its key has a prefix, name it with --asset-key")
    return node


def _execution(node: Mapping[str, Any], asset: str) -> Mapping[str, Any]:
    """Return the latest execution of the check."""
    checks = _object(node, "assetChecksOrError")
    listed = checks.get("checks")
    if checks.get("__typename") != "AssetChecks" or not isinstance(listed, list):
        raise NotConfirmed(f"the deployment does not list the checks of {asset}")
    named = [check for check in listed if isinstance(check, dict) and check.get("name") == GATE_CHECK]
    if len(named) != 1:
        raise NotConfirmed(f"{asset} must have one check named {GATE_CHECK}, but has {len(named)}")
    return _object(named[0], "executionForLatestMaterialization")


def _object(value: Any, *path: str) -> dict[str, Any]:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    if not isinstance(value, dict):
        raise NotConfirmed(f"{GATE_CHECK} was not evaluated on the latest materialisation ({path[-1]} is empty)")
    return value


def recheck(answer: GateAnswer, question: Question, now: datetime) -> GateAnswer:
    """Return the answer, CLOSED if it is not the one that was asked for, or is outdated at ``now``."""
    if answer.open and (reason := _why_closed(answer, question, now)):
        return replace(answer, decision=answer.decision.closed_because(_not_open(reason)))
    return answer


def _why_closed(answer: GateAnswer, question: Question, now: datetime) -> str:
    """Return why an OPEN answer does not open the gate that was asked for at ``now``; empty if it does."""
    policy, mapping_digest = question.policy, question.mapping_digest
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
