"""Signed reports from the command line: who must have signed, and that the private key appears nowhere."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from orgrecon_pipeline.config.mapping_file import default_mapping
from orgrecon_pipeline.operations.context import Context
from orgrecon_pipeline.operations.observe.observe import stamp_baseline
from orgrecon_pipeline.operations.trail.publish import publish
from orgrecon_pipeline_tests.support.cli.process import CommandResult, run_cases
from orgrecon_pipeline_tests.support.default_identity import open_ledger
from orgrecon_pipeline_tests.support.report.signing_keys import private_text, signing_key, write_keys

DAYS = [f"{datetime.now(timezone.utc) - timedelta(days=back):%F}" for back in range(6, -1, -1)]
VARIABLE = "ORGRECON_SIGNING_KEY_FILE"


def commands(directory: Path, *cases: tuple[list[str], dict[str, str]]) -> list[CommandResult]:
    return run_cases(directory, [{"arguments": arguments, "environ": environ} for arguments, environ in cases])


def publish_baselines(directory: Path, days: list[str], key: Path) -> None:
    context = Context(default_mapping(), open_ledger(f"sqlite:///{directory / 'ledger.db'}"), directory / "trail",
                      environ={VARIABLE: str(key)})
    for day in map(date.fromisoformat, days):
        stamp_baseline(context, day)
        publish(context, day)


def test_gate_of_reports_opens_only_if_the_named_keys_signed_all_of_them(tmp_path: Path) -> None:
    first, second = write_keys(tmp_path, "first"), write_keys(tmp_path, "second")
    publish_baselines(tmp_path, DAYS[:4], first[0])
    publish_baselines(tmp_path, DAYS[4:], second[0])
    both = ["--signed-by", str(first[1]), "--signed-by", str(second[1])]
    gate, gate_of_first = ["gate", "--output-dir", "trail"], ["gate", "--output-dir", "trail", *both[:2]]
    tenants = [*gate_of_first, "--by-tenant", "--format", "json"]
    signed, verified, unasked, closed, by_tenant, listed = commands(tmp_path, *((arguments, {}) for arguments in (
        [*gate, *both], ["verify", "trail", *both], gate, gate_of_first, tenants, ["verify", "trail", *both[:2]])))
    assert (signed.code, unasked.code) == (0, 0)
    assert (verified.code, verified.out) == (0, "sound: 7 reports, 0 findings\n")
    assert closed.code == 1
    other = f"is signed by another key ({signing_key('second').public.fingerprint})"
    assert f"the trail is not sound, see orgrecon verify: trail/{DAYS[4]}.md {other}" in " ".join(closed.out.split())
    assert (by_tenant.code, json.loads(by_tenant.out)["state"]) == (1, "CLOSED")
    assert (listed.code, listed.out.count(other)) == (1, 3)
    (tmp_path / f"trail/{DAYS[2]}.md.sig").unlink()
    closed, opened = commands(tmp_path, ([*gate, *both], {}), (gate, {}))
    assert (closed.code, opened.code) == (1, 0)
    assert f"{DAYS[2]}.md is not signed" in " ".join(closed.out.split())


@pytest.mark.parametrize(("arguments", "message"), [
    (["verify", "--signed-by", "missing.pub"], "missing.pub cannot be used as a key (No such file or directory)"),
    (["verify", "--signed-by", "cluster"], "cluster cannot be used as a key (not a public key in OpenSSH format)"),
    (["verify", "--ledger", "--signed-by", "cluster.pub"], "run verify once with each option"),
    (["gate", "--signed-by", "cluster.pub"], "name their directory with --output-dir"),
], ids=["missing", "private", "ledger", "gate"])
def test_signed_by_that_cannot_be_checked_is_refused(arguments: list[str], message: str, tmp_path: Path) -> None:
    write_keys(tmp_path)
    [done] = commands(tmp_path, (arguments, {}))
    assert done.code == 2
    assert message in done.err
    assert done.err.count("\n") == 1


def test_private_key_appears_in_no_output_and_no_file(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    private, _ = write_keys(tmp_path / "keys")
    text = private_text("cluster").decode()
    (tmp_path / "keys/cut").write_text(text[:-60])
    (tmp_path / "work").mkdir()
    (tmp_path / "work/dagster").mkdir()
    done = commands(tmp_path / "work", *(
        (["report", "--baseline", "--debug"], {VARIABLE: value, "DAGSTER_HOME": str(tmp_path / "work/dagster")})
        for value in (str(private), str(tmp_path / "keys/cut"), str(tmp_path / "keys/missing"), text)))
    assert [result.code for result in done] == [0, 2, 2, 2]
    assert all(f"the file that {VARIABLE} names cannot be used" in result.err for result in done[1:])
    secrets = [line for line in text.splitlines() if not line.startswith("-----")]
    outputs = "".join(result.out + result.err for result in done)
    assert not any(line in outputs for line in secrets)
    contents = _contents(tmp_path / "work")
    assert any(name.endswith("runs.db") for name in contents)
    assert any(name.endswith(".md.sig") for name in contents)
    assert not [name for name, content in contents.items() for line in secrets if line.encode() in content]


def _contents(directory: Path) -> dict[str, Any]:
    return {str(path): path.read_bytes() for path in directory.rglob("*") if path.is_file()}
