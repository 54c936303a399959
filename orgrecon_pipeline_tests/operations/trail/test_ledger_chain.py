"""A ledger that was written again, cut off or restored differs from the links that its reports name."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
from dataclasses import replace
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from orgrecon_pipeline.config.mapping_file import default_mapping
from orgrecon_pipeline.domain.evidence import Observation, Verdict
from orgrecon_pipeline.domain.gate.state import GateState
from orgrecon_pipeline.domain.record import Record
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline.operations.context import Context
from orgrecon_pipeline.operations.observe.observe import stamp_baseline
from orgrecon_pipeline.operations.trail.importer import import_trail
from orgrecon_pipeline.operations.trail.ledger_chain import verify_ledger
from orgrecon_pipeline.operations.trail.publish import publish
from orgrecon_pipeline.report.read import read_report
from orgrecon_pipeline.report.render import render
from orgrecon_pipeline_tests.support.cli.process import CommandResult, run
from orgrecon_pipeline_tests.support.default_identity import open_ledger, verify_trail
from orgrecon_pipeline_tests.support.report.cases import observation


@pytest.fixture
def context(tmp_path: Path) -> Context:
    """A context with an empty ledger and output directory."""
    return Context(default_mapping(), ledger_at(tmp_path / "ledger.db"), tmp_path / "reports")


def ledger_at(path: Path) -> Ledger:
    return open_ledger(f"sqlite:///{path}")


def days_until_yesterday(count: int) -> list[date]:
    today = datetime.now(timezone.utc).date()
    return [today - timedelta(days=back) for back in range(count, 0, -1)]


def observe_and_publish(context: Context, day: date, verdict: Verdict = Verdict.PASS, hour: int = 8) -> None:
    made: Observation = observation(day, verdict, hour=hour)
    context.ledger.append(made.model_copy(update={"ledger": context.ledger.id}), (), (), ())
    publish(context, day)


def file_of(context: Context) -> Path:
    return context.output_dir.parent / "ledger.db"


def execute(path: Path, *statements: str) -> None:
    """Execute statements as somebody who writes into the file and removes the triggers first."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            connection.execute(statement)


def findings(context: Context) -> tuple[str, ...]:
    return verify_ledger(context.ledger, context.output_dir).findings


def test_sound_ledger_has_the_links_of_its_reports(context: Context) -> None:
    stamp_baseline(context, context.clock.today())
    for day in days_until_yesterday(3):
        observe_and_publish(context, day)
    context.ledger.acknowledge("ledger", "because", None, {}, context.clock.now())
    verification = verify_ledger(context.ledger, context.output_dir)
    assert (verification.sound, verification.links, verification.reports) == (True, 5, 3)
    assert verification.head == context.ledger.head()


def test_removed_end_of_a_chain_is_shown_by_a_report(context: Context) -> None:
    for day in days_until_yesterday(3):
        observe_and_publish(context, day)
    execute(file_of(context), "DELETE FROM orgrecon_link WHERE position = 3",
            *(f"DELETE FROM orgrecon_{table} WHERE observation = 3" for table in ("change", "entity")),
            "DELETE FROM orgrecon_observation WHERE number = 3")
    assert list(context.ledger.chain_breaks()) == []
    finding, = findings(context)
    assert finding.startswith(f"{days_until_yesterday(1)[0]}.md names link 3 (")
    assert "which has no link 3" in finding


def test_chain_that_was_written_again_is_shown_by_the_reports(context: Context, tmp_path: Path) -> None:
    """The day that failed is replaced by one that passed, under the id of the ledger."""
    first, second = days_until_yesterday(2)
    observe_and_publish(context, first, Verdict.FAIL)
    observe_and_publish(context, second)
    forged = ledger_at(tmp_path / "forged.db")
    execute(tmp_path / "forged.db", f"UPDATE orgrecon_ledger SET id = '{context.ledger.id}'")
    forged = ledger_at(tmp_path / "forged.db")
    for day in (first, second):
        forged.append(observation(day).model_copy(update={"ledger": forged.id}), (), (), ())
    assert list(forged.chain_breaks()) == []
    found = findings(replace(context, ledger=forged))
    assert [finding.split()[0] for finding in found] == [f"{first}.md", f"{second}.md"]
    assert all("which has another link" in finding for finding in found)


def test_restored_ledger_is_sound_again_after_the_lost_reports_were_imported(context: Context, tmp_path: Path) -> None:
    days = days_until_yesterday(4)
    for day in days[:2]:
        observe_and_publish(context, day)
    shutil.copy(file_of(context), tmp_path / "backup.db")
    for day in days[2:]:
        observe_and_publish(context, day, Verdict.FAIL)
    restored = replace(context, ledger=ledger_at(tmp_path / "backup.db"))
    assert len(findings(restored)) == 2
    imported = import_trail(restored.ledger, restored.output_dir, clock=restored.clock)
    assert (imported.days, imported.refused) == (tuple(days[2:]), ())
    assert findings(restored) == ()
    before = {path: path.read_bytes() for path in context.output_dir.glob("*.md")}
    for day in days:
        publish(restored, day)
    assert {path: path.read_bytes() for path in context.output_dir.glob("*.md")} == before


def edit(context: Context, day: date, **changes: Any) -> Record:
    """Replace a day's report by that of a clean week, with a new digest, but with the links of the original."""
    path = context.output_dir / f"{day}.md"
    own = read_report(path, context.ledger.identity)
    [row] = own.observations
    clean = replace(context, ledger=ledger_at(path.parent.parent / "clean.db"), output_dir=path.parent.parent / "clean")
    for earlier in days_until_yesterday(7):
        observe_and_publish(clean, earlier)
    value = read_report(clean.output_dir / path.name, context.ledger.identity).as_json_value()
    link = {"ledger": row.ledger, "chain": row.chain and row.chain.model_dump(), "id": row.id, **changes}
    value["observations"][0] |= link
    value |= {name: link[name] for name in ("ledger", "chain")}
    draft = Record.model_validate_json(json.dumps(value))
    record = draft.model_copy(update={"digest": draft.expected_digest()})
    path.write_bytes(render(record).encode())
    return record


@pytest.mark.parametrize(("changes", "finding"), [
    ({}, "with another verdict, reason_code, tenants_with_drift, entities than this ledger stores"),
    ({"id": "0" * 16}, "shows observation '0000000000000000', which this ledger does not have"),
    ({"ledger": "f" * 16}, "with another verdict"),
    ({"id": "0" * 16, "ledger": "f" * 16}, "which this ledger does not have"),
], ids=["verdict", "id", "ledger", "both"])
def test_report_that_was_edited_with_its_digest_contradicts_the_ledger(
    context: Context, changes: dict[str, Any], finding: str
) -> None:
    """The verification of the trail cannot show it: the report is complete, and agrees with all others."""
    *clean, last = days_until_yesterday(7)
    for day in clean:
        observe_and_publish(context, day)
    observe_and_publish(context, last, Verdict.FAIL)
    assert findings(context) == ()
    assert edit(context, last, **changes).gate.state is GateState.OPEN
    assert verify_trail(context.output_dir).sound
    [found] = findings(context)
    assert finding in found


def test_rebuilt_ledger_names_its_source_reports(context: Context, tmp_path: Path) -> None:
    for day in days_until_yesterday(3):
        observe_and_publish(context, day)
    rebuilt = replace(context, ledger=ledger_at(tmp_path / "rebuilt.db"))
    import_trail(rebuilt.ledger, context.output_dir, clock=context.clock)
    assert rebuilt.ledger.id != context.ledger.id
    entries = [json.loads(link.entry) for link in rebuilt.ledger.links()]
    originals = context.ledger.links()
    assert [entry["imported"]["chain"] for entry in entries] == [
        {"position": link.position, "hash": link.hash} for link in originals]
    assert {entry["imported"]["ledger"] for entry in entries} == {context.ledger.id}
    assert {entry["imported"]["report"] for entry in entries} == {
        publish(context, day).record.digest for day in days_until_yesterday(3)}
    assert findings(rebuilt) == ()


def test_diverged_copies_of_a_ledger_contradict_each_other(context: Context, tmp_path: Path) -> None:
    first, second = days_until_yesterday(2)
    observe_and_publish(context, first)
    shutil.copy(file_of(context), tmp_path / "copy.db")
    copy = replace(context, ledger=ledger_at(tmp_path / "copy.db"))
    observe_and_publish(context, second)
    copy.ledger.acknowledge("ledger", "because", None, {}, copy.clock.now())
    assert any("which has another link 2" in finding for finding in findings(copy))
    assert findings(context) == ()


def verify_command(context: Context, *arguments: str) -> CommandResult:
    return run(context.output_dir, "verify", "--ledger", *arguments, ORGRECON_LEDGER_URL=f"sqlite:///{file_of(context)}",
               ORGRECON_OUTPUT_DIR=str(context.output_dir))


def test_command_prints_the_head_and_names_the_first_break(context: Context) -> None:
    for day in days_until_yesterday(2):
        observe_and_publish(context, day)
    head: Any = context.ledger.head()
    sound = verify_command(context)
    assert (sound.code, sound.out.splitlines()) == (0, [
        f"sound: ledger {context.ledger.id}, 2 links, 2 reports compared, 0 findings",
        f"head: link 2, {head.hash}"])
    execute(file_of(context), "UPDATE orgrecon_entity SET missing = 7 WHERE observation = 1")
    broken = verify_command(context, "--format", "json")
    answer = json.loads(broken.out)
    assert (broken.code, answer["sound"], answer["head"]) == (1, False, {"position": 2, "hash": head.hash})
    assert answer["findings"][0].startswith("link 1: observation ")


def test_command_without_a_ledger_ends_with_a_usage_error(tmp_path: Path) -> None:
    refused = run(tmp_path, "verify", "--ledger", ORGRECON_LEDGER_URL=f"sqlite:///{tmp_path}/none.db")
    assert refused.code == 2
    assert "there is no ledger" in refused.err
