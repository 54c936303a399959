"""``orgrecon accept-ledger``: its output, and the messages for arguments that are not valid."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path

from orgrecon_pipeline_tests.support.cli.process import run_cases

REASON = ("--reason", "the ledger was rebuilt")
OTHER = "00c0ffee00c0ffee"


def test_accept_ledger_prints_what_is_accepted_and_until_when(tmp_path: Path) -> None:
    environ = {"ORGRECON_LEDGER_URL": f"sqlite:///{tmp_path / 'ledger.db'}"}
    arguments = [[*REASON], [*REASON, OTHER], [*REASON, OTHER, "--format", "json"]]
    every, named, document = run_cases(
        tmp_path, [{"arguments": ["accept-ledger", *more], "environ": environ} for more in arguments])
    assert every.out.startswith("accepted: evaluations by any other ledger up to 20")
    assert named.out.startswith(f"accepted: evaluations by ledger {OTHER} up to 20")
    accepted = json.loads(document.out)
    assert accepted["accepted"] == OTHER
    assert accepted["ledger"] not in (OTHER, None)
    age = datetime.now(timezone.utc) - datetime.fromisoformat(accepted["until"].replace("Z", "+00:00"))
    assert age < timedelta(minutes=5)


def test_accept_ledger_with_an_invalid_id_or_without_a_reason_is_refused(tmp_path: Path) -> None:
    cases = {
        (*REASON, "prod"): "'prod' is not the id of a ledger: copy the id from the reason of the gate",
        (*REASON, OTHER.upper()): "is not the id of a ledger",
        ("--reason", "ok"): "--reason is too short",
        (): "Missing option '--reason'",
    }
    results = run_cases(tmp_path, [
        {"arguments": ["accept-ledger", *arguments], "environ": {}} for arguments in cases])
    for result, message in zip(results, cases.values(), strict=True):
        assert result.code == 2
        assert message in result.err
        assert result.err.count("\n") == 1
