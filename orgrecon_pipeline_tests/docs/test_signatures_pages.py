"""The commands and the program with which auditors check signatures and attestations without orgrecon."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from orgrecon_pipeline.report.signature import PublicKey, SigningKey, signer_of
from orgrecon_pipeline.report.write import write_report
from orgrecon_pipeline_tests.support.deploy.tools import DEPLOY, documents, installed
from orgrecon_pipeline_tests.support.report.cases import clean_week
from orgrecon_pipeline_tests.support.report.signing_keys import public_text, signing_key, ssh_keygen, write_keys

DOCS = Path(__file__).parents[2] / "docs"
SECTION = (DOCS / "auditors.md").read_text("utf-8").split("\n## 5. ")[1]
GUIDE = (DOCS / "how-to/signed-reports.md").read_text("utf-8")
CHECK, = (block for block in re.findall(r"```bash\n(.*?)```", SECTION, re.DOTALL) if "ssh-keygen" in block)
PROGRAM, = (block for block in re.findall(r"```python\n(.*?)```", SECTION, re.DOTALL) if "dsseEnvelope" in block)
NAMED = "2026-11-30.md"


@pytest.fixture
def reports(tmp_path: Path) -> list[Path]:
    """A week of signed reports, and the public key under its name on the page."""
    history = clean_week()
    (tmp_path / "orgrecon-signing.pub").write_bytes(public_text("cluster"))
    return [write_report(tmp_path, history.record(day), signing_key().sign) for day in sorted(history.by_day)]


def shell(script: str, directory: Path) -> subprocess.CompletedProcess[str]:
    ssh_keygen()
    return subprocess.run(["bash", "-c", script], cwd=directory, capture_output=True, text=True, check=False)


def test_ssh_keygen_checks_a_report_as_the_page_says(reports: list[Path]) -> None:
    script = CHECK.replace(NAMED, reports[0].name)
    assert script != CHECK
    done = shell(script, reports[0].parent)
    assert (done.returncode, done.stdout.split(" for ")[0]) == (0, 'Good "orgrecon-report" signature'), done.stderr
    reports[0].write_text(reports[0].read_text().replace("PASS", "FAIL"))
    assert shell(script, reports[0].parent).returncode != 0
    write_keys(reports[0].parent, "other")
    other = script.replace("orgrecon-signing.pub", "other.pub").replace(reports[0].name, reports[1].name)
    assert shell(other, reports[0].parent).returncode != 0


def test_key_that_the_guide_creates_signs_reports(tmp_path: Path) -> None:
    [command] = re.findall(r"^ssh-keygen -q .+$", GUIDE, re.MULTILINE)
    done = shell(command, tmp_path)
    assert done.returncode == 0, done.stderr
    key = SigningKey.parse((tmp_path / "orgrecon-signing").read_bytes())
    assert signer_of(b"x", key.sign(b"x")) == PublicKey.parse((tmp_path / "orgrecon-signing.pub").read_bytes())


def test_job_of_the_guide_renders_in_the_directory_of_the_cron_job() -> None:
    [program] = re.findall(r"jq '(.+)'", GUIDE)
    [cron] = documents((DEPLOY / "cron/org-v23-reconcile-report.yaml").read_text())
    job = {"spec": cron["spec"]["jobTemplate"]["spec"]}
    done = subprocess.run([installed("jq"), program], input=json.dumps(job), capture_output=True, text=True, check=True)
    [container] = json.loads(done.stdout)["spec"]["template"]["spec"]["containers"]
    [original] = job["spec"]["template"]["spec"]["containers"]
    assert container["command"] == original["command"] == ["orgrecon"]
    assert container["args"][0] == "render"
    assert container["args"][-2:] == original["args"][-2:]
    assert container["env"] == original["env"]


def bundle(*subjects: Path, payload_type: str = "application/vnd.in-toto+json") -> str:
    """Return a Sigstore bundle for some files, signed with a throw-away key instead of a certificate."""
    statement = json.dumps({
        "_type": "https://in-toto.io/Statement/v1", "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {"buildDefinition": {}, "runDetails": {}},
        "subject": [{"name": file.name, "digest": {"sha256": hashlib.sha256(file.read_bytes()).hexdigest()}}
                    for file in subjects]}).encode()
    signed = b"DSSEv1 %d %s %d %s" % (len(payload_type), payload_type.encode(), len(statement), statement)
    return json.dumps({
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {"certificate": {"rawBytes": ""}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": base64.b64encode(statement).decode(), "payloadType": payload_type,
            "signatures": [{"sig": base64.b64encode(signing_key().sign(signed)).decode()}]}}) + "\n"


def check_bundle(text: str, *reports: Path) -> subprocess.CompletedProcess[str]:
    file = reports[0].parent / "bundle.jsonl"
    file.write_text(text)
    return subprocess.run([sys.executable, "-I", "-c", PROGRAM, str(file), *map(str, reports)],
                          capture_output=True, text=True, check=False)


def test_program_finds_each_report_in_the_bundles_of_attestations(reports: list[Path]) -> None:
    attested = bundle(*reports[:3]) + bundle(reports[3])
    done = check_bundle(attested, *reports[:4])
    assert (done.returncode, done.stdout) == (0, "4 reports are named in the attestations\n")
    missing = check_bundle(attested, reports[0], reports[4])
    assert (missing.returncode, missing.stderr) == (1, f"{reports[4]}: no attestation is for these bytes\n")
    reports[0].write_text(reports[0].read_text().replace("PASS", "FAIL"))
    assert check_bundle(attested, reports[0]).returncode == 1


def test_program_refuses_an_unknown_payload(reports: list[Path]) -> None:
    done = check_bundle(bundle(reports[0], payload_type="text/plain"), reports[0])
    assert (done.returncode, done.stderr) == (1, "unknown payload text/plain\n")
