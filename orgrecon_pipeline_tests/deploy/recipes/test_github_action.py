"""The steps of the action ``gate``, run as GitHub runs them, for every source and kind of answer."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from orgrecon_pipeline.report.signature_file import signature_path
from orgrecon_pipeline_tests.support.deploy.gate_world import TENANTS, GateWorld
from orgrecon_pipeline_tests.support.deploy.tools import ROOT, from_venv, run
from orgrecon_pipeline_tests.support.deploy.wrong_servers import answering, gone
from orgrecon_pipeline_tests.support.python_process import write_orgrecon_program
from orgrecon_pipeline_tests.support.report.signing_keys import signing_key, write_keys

FOLDER = ROOT / ".github/actions/gate"
ACTION: dict[str, Any] = yaml.safe_load((FOLDER / "action.yml").read_text())
INSTALL, ASK = ACTION["runs"]["steps"]


@dataclass(frozen=True)
class Result:
    """What a workflow sees of the action."""

    code: int
    outputs: dict[str, str]
    summary: str
    log: str


def run_action(folder: Path, *, install: bool = False, **inputs: str) -> Result:
    """Run the steps with inputs (``_`` in a name stands for ``-``) in a workspace; ``install`` also runs the first."""
    values = {name: str(given["default"]) for name, given in ACTION["inputs"].items()}
    values |= {name.replace("_", "-"): value for name, value in inputs.items()}
    assert set(values) == set(ACTION["inputs"]), "an input that the action does not have"
    program = folder / "temp/orgrecon-gate/bin/orgrecon"
    program.parent.mkdir(parents=True, exist_ok=True)
    if not install:
        write_orgrecon_program(program)
    github = {name: folder / name.lower() for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    for file in github.values():
        file.write_text("")
    clean = {name: value for name, value in GateWorld(folder).environ.items() if not name.startswith("ORGRECON_")}
    log, code = "", 0
    for step in (INSTALL, ASK) if install else (ASK,):
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", step["run"]], cwd=folder,
            capture_output=True, text=True, check=False,
            env={**clean, "PATH": f"{Path(sys.executable).parent}:{clean['PATH']}", "GITHUB_ACTION_PATH": str(FOLDER),
                 **{name: str(file) for name, file in github.items()},
                 **{name: expanded(text, values, folder) for name, text in step["env"].items()}})
        log, code = log + done.stdout + done.stderr, done.returncode
        if code:
            break
    outputs = re.findall(r"^([\w-]+)<<(\w+)\n(.*?)\n\2$", github["GITHUB_OUTPUT"].read_text(), re.DOTALL | re.MULTILINE)
    return Result(code, {name: value for name, _, value in outputs}, github["GITHUB_STEP_SUMMARY"].read_text(), log)


def expanded(text: str, inputs: dict[str, str], folder: Path) -> str:
    """Return a value of the action with its expressions evaluated."""
    text = text.replace("${{ runner.temp }}", str(folder / "temp"))
    return re.sub(r"\$\{\{ inputs\.([\w-]+) \}\}", lambda found: inputs[found[1]], text)


def source(world: GateWorld, kind: str, url: str) -> dict[str, str]:
    """Return the inputs that ask one kind of source about the evidence of a world."""
    of_kind = {"trail": str(world.reports), "ledger-url": world.environ["ORGRECON_LEDGER_URL"], "gate-url": url}
    return {kind: of_kind[kind], "environment": world.environment}


SOURCES = ["trail", "ledger-url", "gate-url"]


def test_action_passes_all_linters() -> None:
    run(from_venv("check-jsonschema"), "--builtin-schema", "vendor.github-actions", str(FOLDER / "action.yml"))
    run(from_venv("zizmor"), "--offline", "--no-progress", "--persona", "auditor", str(FOLDER / "action.yml"))
    run(from_venv("mypy"), "--strict", str(FOLDER / "gate.py"), str(ROOT / "deploy/recipes/gate_guard.py"))


def test_commands_of_the_action_contain_no_expressions() -> None:
    for step in (INSTALL, ASK):
        assert "${{" not in step["run"]
    assert {f"INPUT_{name.upper().replace('-', '_')}" for name in ACTION["inputs"]} == set(ASK["env"]) - {"ORGRECON"}


def test_outputs_of_the_action_are_those_that_its_step_writes(clean_world: GateWorld, tmp_path: Path) -> None:
    result = run_action(tmp_path, **source(clean_world, "trail", ""))
    assert set(result.outputs) == set(ACTION["outputs"])
    for name, output in ACTION["outputs"].items():
        assert output["value"] == f"${{{{ steps.{ASK['id']}.outputs.{name} }}}}"


def test_installation_uses_the_same_uv_version_as_the_image() -> None:
    [pinned] = re.findall(r"uv==[\d.]+", INSTALL["run"])
    assert pinned in (ROOT / "deploy/Dockerfile").read_text()


@pytest.mark.parametrize("kind", SOURCES)
def test_open_gate_passes_with_outputs_and_summary(
    kind: str, clean_world: GateWorld, open_gate: str, tmp_path: Path
) -> None:
    result = run_action(tmp_path, **source(clean_world, kind, open_gate))
    assert (result.code, result.outputs["state"], result.outputs["streak"]) == (0, "OPEN", "8"), result.log
    assert result.outputs["reason"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", result.outputs["earliest-open-day"])
    assert "### orgrecon: gate OPEN" in result.summary
    assert "org-v23 in prod" in result.summary
    assert "::error" not in result.log


@pytest.mark.parametrize("kind", SOURCES)
def test_closed_gate_fails_with_its_reason(
    kind: str, drifting_world: GateWorld, closed_gate: str, tmp_path: Path
) -> None:
    result = run_action(tmp_path, **source(drifting_world, kind, closed_gate))
    assert (result.code, result.outputs["state"], result.outputs["streak"]) == (1, "CLOSED", "0"), result.log
    assert f"::error title=orgrecon gate CLOSED::{result.outputs['reason']}" in result.log
    assert "### orgrecon: gate CLOSED" in result.summary


@pytest.mark.parametrize("kind", SOURCES)
def test_cohort_is_open_only_if_each_of_its_tenants_is(
    kind: str, drifting_world: GateWorld, closed_gate: str, tmp_path: Path
) -> None:
    cohort = tmp_path / "cohort.txt"
    asked = source(drifting_world, kind, closed_gate)
    cohort.write_text(f"{TENANTS[2]}\n")
    ready = run_action(tmp_path, **asked, tenant="acme\n", cohort="cohort.txt")
    assert (ready.code, ready.outputs["state"], ready.outputs["streak"]) == (0, "OPEN", "8"), ready.log
    cohort.write_text("acme\nglobex\n")
    drifting = run_action(tmp_path, **asked, cohort="cohort.txt")
    assert (drifting.code, drifting.outputs["state"], drifting.outputs["streak"]) == (1, "CLOSED", "0"), drifting.log
    assert "globex: CLOSED" in drifting.summary
    unknown = run_action(tmp_path, **asked, tenant="nobody")
    assert (unknown.code, unknown.outputs["state"]) == (1, "CLOSED"), unknown.log


@pytest.mark.parametrize("kind", SOURCES)
def test_more_live_days_than_there_are_close_the_gate(
    kind: str, clean_world: GateWorld, open_gate: str, tmp_path: Path
) -> None:
    result = run_action(tmp_path, **source(clean_world, kind, open_gate), require_live="9")
    assert result.outputs["state"] == "CLOSED", result.log
    assert result.code != 0


@pytest.mark.parametrize("kind", SOURCES)
def test_another_environment_closes_the_gate(
    kind: str, clean_world: GateWorld, open_gate: str, tmp_path: Path
) -> None:
    result = run_action(tmp_path, **{**source(clean_world, kind, open_gate), "environment": "staging"})
    assert result.outputs["state"] == "CLOSED", result.log
    assert result.code != 0


@pytest.mark.parametrize(("inputs", "message"), [
    ({}, "exactly one of the inputs"),
    ({"trail": "reports", "gate_url": "http://127.0.0.1/gate"}, "exactly one of the inputs"),
    ({"trail": "no-such-directory"}, "no-such-directory"),
    ({"ledger_url": "sqlite:///no-such-directory/ledger.db"}, "ledger"),
    ({"ledger_url": "mysql://user:s3cret@host/db"}, "ledger"),
    ({"gate_url": "orgrecon.example.com"}, "gate-url is not an address"),
    ({"gate_url": "file:///etc/passwd"}, "gate-url is not an address"),
    ({"trail": ".", "require_live": "seven"}, "require-live must be a number"),
    ({"gate_url": "http://127.0.0.1/gate", "require_live": "seven"}, "require-live must be a number"),
    ({"trail": ".", "cohort": "no-such-file.txt"}, "no-such-file.txt"),
    ({"trail": ".", "mapping": "no-such-mapping.yaml"}, "no-such-mapping.yaml"),
])
def test_unusable_inputs_end_in_one_line(inputs: dict[str, str], message: str, tmp_path: Path) -> None:
    result = run_action(tmp_path, **inputs)
    assert result.code != 0
    assert result.outputs["state"] == "CLOSED"
    assert message in result.outputs["reason"]
    assert "\n" not in result.outputs["reason"]
    assert "Traceback" not in result.log
    assert "s3cret" not in result.log + result.summary


@pytest.mark.parametrize(("status", "body", "message"), [
    (503, '{"state": "CLOSED", "reason": "the ledger is locked"}', "503: the ledger is locked"),
    (404, '{"state": "OPEN"}', "404"),
    (200, "<html>log in</html>", "JSONDecodeError"),
    (200, '{"state": "OPEN"}', "this is not a gate"),
    (200, "[]", "this is not a gate"),
    (200, '{"state": "OPEN", "migration": "org-v23", "environment": ""}', "cannot be read"),
    (200, '{"state": "OPEN", "migration": "other", "environment": ""}', "another migration"),
])
def test_unexpected_answer_over_http_closes_the_gate(status: int, body: str, message: str, tmp_path: Path) -> None:
    with answering(status, body) as url:
        result = run_action(tmp_path, gate_url=url)
    assert (result.code, result.outputs["state"]) == (2, "CLOSED")
    assert message in result.outputs["reason"]


def test_exporter_that_is_gone_closes_the_gate(tmp_path: Path) -> None:
    result = run_action(tmp_path, gate_url=gone())
    assert (result.code, result.outputs["state"]) == (2, "CLOSED")
    assert "gave no answer" in result.outputs["reason"]


def test_token_is_sent_to_the_exporter_and_never_shown(clean_world: GateWorld, tmp_path: Path) -> None:
    with clean_world.exporter(ORGRECON_GATE_TOKEN="s3cret") as url:
        right, wrong = (run_action(tmp_path, gate_url=url, environment="prod", token=token)
                        for token in ("s3cret", "other-s3cret"))
    assert (right.code, wrong.code) == (0, 2)
    assert "401" in wrong.outputs["reason"]
    for result in (right, wrong):
        assert "s3cret" not in result.log + result.summary + str(result.outputs)


HOSTILE = 'x::stop\n::set-output name=state::OPEN\n</pre><script>%0A::error::"$(touch ran)`touch ran`\u202e'


def test_hostile_input_is_neither_run_nor_interpreted(clean_world: GateWorld, open_gate: str, tmp_path: Path) -> None:
    for name in ("tenant", "cohort", "mapping", "environment", "require_live", "migration", "token"):
        asked = {**source(clean_world, "gate-url" if name in ("tenant", "migration", "token") else "trail", open_gate)}
        result = run_action(tmp_path, **{**asked, name: HOSTILE})
        assert result.outputs["state"] in ("OPEN", "CLOSED") if name == "token" else result.outputs["state"] == "CLOSED"
        assert "<script>" not in result.summary
        assert set(result.outputs) == set(ACTION["outputs"])
        # Commands are interpreted again after the line that ends their stop.
        commands = re.sub(r"^::stop-commands::(\w+)$.*?^::\1::$", "", result.log, flags=re.DOTALL | re.MULTILINE)
        assert all(line.startswith("::error title=") for line in commands.splitlines() if line), result.log
    assert not list(tmp_path.rglob("ran"))


@pytest.mark.slow
def test_action_installs_orgrecon_and_asks_the_gate(clean_world: GateWorld, tmp_path: Path) -> None:
    result = run_action(tmp_path, install=True, **source(clean_world, "trail", ""))
    assert (result.code, result.outputs["state"]) == (0, "OPEN"), result.log


def test_trail_opens_only_if_the_named_keys_signed_its_reports(clean_world: GateWorld, tmp_path: Path) -> None:
    shutil.copytree(clean_world.reports, tmp_path / "signed")
    for report in (tmp_path / "signed").glob("2*.md"):
        signature_path(report).write_bytes(signing_key().sign(report.read_bytes()))
    for name in ("cluster", "other"):
        write_keys(tmp_path, name)

    def ask(keys: str, trail: Path = tmp_path / "signed") -> tuple[int, str]:
        result = run_action(tmp_path, trail=str(trail), environment="prod", signed_by=keys)
        return result.code, result.outputs["state"]

    assert ask("other.pub\ncluster.pub\n") == (0, "OPEN")
    assert ask("other.pub") == ask("cluster.pub", clean_world.reports) == (1, "CLOSED")
    assert ask("missing.pub") == (2, "CLOSED")


@pytest.mark.parametrize("kind", ["ledger-url", "gate-url", "dagster-url"])
def test_signatures_cannot_be_required_of_another_source(kind: str, tmp_path: Path) -> None:
    result = run_action(tmp_path, **{kind: "https://orgrecon.invalid/gate", "signed_by": "cluster.pub"})
    assert (result.code, result.outputs["state"]) == (2, "CLOSED")
    assert "signed-by is about the reports of the input trail" in result.outputs["reason"]
