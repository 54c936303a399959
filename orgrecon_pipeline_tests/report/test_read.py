"""Reading a report: every edited, truncated or forged file is refused with one line that names it."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orgrecon_pipeline.domain.canonical import canonical_json, sha256_of
from orgrecon_pipeline.domain.errors import UnsoundTrail
from orgrecon_pipeline.domain.evidence import Verdict
from orgrecon_pipeline.domain.record import Record
from orgrecon_pipeline.report.checks.record import contradiction
from orgrecon_pipeline.report.read import _canonical_record, _record
from orgrecon_pipeline.report.render import render
from orgrecon_pipeline_tests.support.default_identity import read_report
from orgrecon_pipeline_tests.support.report.cases import COMPARED, DAY, clean_week, golden_cases
from orgrecon_pipeline_tests.support.report.cases import observation as observation_of
from orgrecon_pipeline_tests.support.report.cases import ready_tenants as ready_tenants_of

CASES = golden_cases()
RECORD = CASES["fail_with_samples"]
TEXT = render(RECORD)
STREAK = '"streak_days":0,"tenants"'  # the field of the record, not the parameter of the gate's reason
BODY, LINE = TEXT[: TEXT.index("<!-- orgrecon-record")], TEXT[TEXT.index("<!-- orgrecon-record") :]


def refused(path: Path) -> str:
    with pytest.raises(UnsoundTrail) as caught:
        read_report(path)
    message = str(caught.value)
    assert "\n" not in message
    assert path.name in message
    assert caught.value.exit_code == 1
    return message


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / f"{DAY}.md"
    path.write_bytes(TEXT.encode())
    return path


def test_written_report_reads_back_to_its_record(file: Path) -> None:
    assert read_report(file) == RECORD


@pytest.mark.parametrize("name", CASES)
def test_canonical_record_is_accepted_without_a_closer_look(name: str) -> None:
    line = CASES[name].line()
    assert _canonical_record(line) == _record(line) == CASES[name]


ROW = RECORD.tenants[0].model_dump(mode="json")


def nested(depth: int) -> Any:
    return [nested(depth - 1)] if depth else 0


LIMITS = {
    "a number with as many digits as a record may have": (10**39, True),
    "a number with more digits": (10**40, False),
    "a negative number with one character more": (-(10**39), False),
    "a large fraction": (1e300, True),
    "deep nesting": (nested(20), True),
    "nesting that needs a closer look": (nested(28), True),
    "the deepest nesting": (nested(29), True),
    "nesting that is too deep": (nested(30), False),
    "nesting that is much too deep": (nested(150), False),
    "tenants elsewhere in the record": ({"tenants": [ROW], "tenants_scanned": 1}, True),
    "what looks like the end of the tenants": ([{"tenants": [1]}, {"a": [], "tenants_scanned": 1}], True),
}


@pytest.mark.parametrize("case", LIMITS)
def test_limits_of_a_record_hold_for_canonical_ones(case: str, file: Path) -> None:
    value, accepted = LIMITS[case]
    file.write_bytes(forged(compared={**RECORD.compared, "odd": value}).encode())
    if accepted:
        assert read_report(file).compared["odd"] == value
    else:
        assert "number of 41 digits" in refused(file) if isinstance(value, int) else "deep" in refused(file)


EDITS: list[tuple[str, Callable[[str], str], str]] = [
    ("a figure", lambda t: t.replace("| Tenants with drift | 2 |", "| Tenants with drift | 0 |"), "was edited: line "),
    ("the verdict", lambda t: t.replace("**FAIL**", "**PASS**", 1), "was edited: line"),
    ("the banner", lambda t: t.replace("GATE CLOSED", "GATE OPEN", 1), "was edited: line 4 "),
    ("a space at a line's end", lambda t: t.replace("## Summary\n", "## Summary \n"), "was edited: line"),
    ("an added line", lambda t: t.replace("## Summary\n", "## Summary\n\nAll is well.\n"), "was edited: line"),
    ("a removed line", lambda t: t.replace("## Drift samples\n", ""), "was edited: line"),
    ("text before", lambda t: "Approved.\n" + t, "was edited: line 1 "),
    ("a byte order mark", lambda t: "\ufeff" + t, "was edited: line 1 "),
    ("Windows line ends", lambda t: t.replace("\n", "\r\n"), "line ends"),
    ("the record's figure", lambda t: t.replace('"tenants_with_drift":2,"title"', '"tenants_with_drift":0,"title"'),
     "was edited: the digest of its record is wrong"),
    ("the digest", lambda t: t.replace(RECORD.digest, "0" * 64), "was edited: the digest of its record is wrong"),
    ("spaces in the record", lambda t: t.replace(': {"chain":', ': { "chain":'), "canonical"),
    ("another schema", lambda t: t.replace('"schema":1', '"schema":2'), "schema"),
    ("schema true", lambda t: t.replace('"schema":1', '"schema":true'), "schema"),
    ("schema 1.0", lambda t: t.replace('"schema":1', '"schema":1.0'), "canonical"),
    ("a figure as text", lambda t: t.replace(STREAK, '"streak_days":"0","tenants"'), "streak_days must be an integer."),
    ("a figure as fraction", lambda t: t.replace(STREAK, '"streak_days":0.0,"tenants"'),
     "streak_days must be an integer."),
    ("a missing field", lambda t: t.replace(STREAK, '"tenants"'), "invalid record: streak_days is missing."),
    ("an unknown field", lambda t: t.replace(STREAK, f'"note":"x",{STREAK}'),
     "invalid record: note is an unknown field."),
    ("an unknown reason code", lambda t: t.replace('"reason_code":"drift"', '"reason_code":"mood"'),
     "reason_code is no known value."),
    ("a key twice", lambda t: t.replace('"schema":1', '"schema":1,"schema":1'), "twice"),
    ("a key twice, deep", lambda t: t.replace('"rechecks":3', '"rechecks":3,"rechecks":3'), "twice"),
    ("NaN", lambda t: t.replace('"rechecks":3', '"rechecks":NaN'), "NaN"),
    ("infinity", lambda t: t.replace('"rechecks":3', '"rechecks":-Infinity'), "Infinity"),
    ("too large", lambda t: t.replace('"rechecks":3', '"rechecks":1e999'), "too large"),
    ("huge integer", lambda t: t.replace('"rechecks":3', '"rechecks":' + "9" * 5000), "5000 digits"),
    ("lone surrogate", lambda t: t.replace('"reason":"8 ', '"reason":"\\ud800 ', 1), "record"),
    ("lone surrogate in settings", lambda t: t.replace('"rechecks":3', '"rechecks":"\\ud800"'), "Unicode"),
    ("deep nesting", lambda t: t.replace('"rechecks":3', '"rechecks":' + "[" * 100_000 + "]" * 100_000), "deep"),
    ("less deep nesting", lambda t: t.replace('"rechecks":3', '"rechecks":' + "[" * 500 + "]" * 500), "deep"),
    ("deep nesting without end", lambda t: t.replace('"rechecks":3', '"rechecks":' + '{"a":' * 100_000), "record"),
    ("invalid JSON", lambda t: t.replace(': {"chain":', ': {chain:'), "is not JSON"),
    ("a list", lambda t: BODY + "<!-- orgrecon-record: [] -->\n", "not a JSON object"),
    ("null", lambda t: BODY + "<!-- orgrecon-record: null -->\n", "not a JSON object"),
    ("an empty object", lambda t: BODY + "<!-- orgrecon-record: {} -->\n", "schema"),
    ("an empty record", lambda t: BODY + "<!-- orgrecon-record:  -->\n", "is not JSON"),
    ("no record", lambda t: BODY, "no record"),
    ("nothing", lambda t: "", "no record"),
    ("two records", lambda t: t + LINE, "more than one record"),
    ("record in the middle", lambda t: t + "\nSigned off.\n", "does not end with its record"),
    ("no newline at the end", lambda t: t.rstrip("\n"), "does not end with its record"),
    ("an empty line at the end", lambda t: t + "\n", "does not end with its record"),
    ("a truncated file", lambda t: t[:-200], "record"),
    ("unclosed comment", lambda t: t.replace(" -->\n", "\n"), "damaged"),
]


@pytest.mark.parametrize(("edit", "expected"), [pytest.param(e, x, id=name) for name, e, x in EDITS])
def test_edited_report_is_refused(edit: Callable[[str], str], expected: str, file: Path) -> None:
    assert edit(TEXT) != TEXT
    file.write_bytes(edit(TEXT).encode())
    assert expected in refused(file)


def forged(**changes: Any) -> str:
    """Return the report of a changed record with its new digest, as a knowledgeable forger would make it."""
    value = {**json.loads(RECORD.line()), **changes}
    del value["digest"]
    value["digest"] = sha256_of(value)
    return render(Record.model_validate(value))


def window(at: int, **changes: Any) -> list[dict[str, Any]]:
    rows = RECORD.as_json_value()["window"]
    rows[at].update(changes)
    return list(rows)


def observation(**changes: Any) -> list[dict[str, Any]]:
    return [{**RECORD.as_json_value()["observations"][0], **changes}]


def gate(**changes: Any) -> dict[str, Any]:
    """The gate with changed parameters of its reason."""
    fields = RECORD.as_json_value()["gate"]
    return {**fields, "reason_parameters": {**fields["reason_parameters"], **changes}}


def ready_tenants(**figures: Any) -> dict[str, Any]:
    return ready_tenants_of(**figures).model_dump(mode="json")


FORGERIES: list[tuple[str, Callable[[], dict[str, Any]]]] = [
    ("a FAIL made a PASS", lambda: {"verdict": "PASS"}),
    ("a FAIL made a PASS everywhere", lambda: {
        "verdict": "PASS", "observations": observation(verdict="PASS"), "window": window(-1, verdict="PASS")}),
    ("another reason", lambda: {"reason": "All is well."}),
    ("another reason code", lambda: {"reason_code": "zero_drift"}),
    ("other parameters", lambda: {"reason_parameters": {}}),
    ("another reason in the window", lambda: {"window": window(-1, reason_code="coverage_lost")}),
    ("an eligible day with the reason of another", lambda: {"window": window(0, reason_code="other_mapping")}),
    ("a missing day with the reason of another", lambda: {"window": window(
        0, verdict="MISSING", provenance=None, missing=None, unexpected=None, mismatched=None, duplicate=None,
        eligible=False)}),
    ("a gate whose reason names another day", lambda: {"gate": gate(day="2026-11-22")}),
    ("a gate whose reason has another cause", lambda: {"gate": gate(reason_code="coverage_lost")}),
    ("a gate whose reason lacks its cause", lambda: {"gate": gate(reason_parameters={})}),
    ("other figures", lambda: {"entities": {}}),
    ("fewer tenants with drift", lambda: {"tenants_with_drift": 0}),
    ("a time of another day", lambda: {"observations": observation(observed_at="2999-01-01T00:00:00.000000Z")}),
    ("a time of the day before", lambda: {"observations": observation(observed_at="2026-11-22T23:59:59.999999Z")}),
    ("a comparison without a time", lambda: {"observations": observation(observed_at=None)}),
    ("another provenance", lambda: {"provenance": "restored"}),
    ("another mapping", lambda: {"mapping_digest": "0" * 64}),
    ("another version", lambda: {"orgrecon_version": "9"}),
    ("no deciding observation", lambda: {"observations": observation(decides=False)}),
    ("no observation", lambda: {"observations": []}),
    ("an observation twice", lambda: {"observations": observation() + observation(decides=False)}),
    ("an invalid time", lambda: {"observations": observation(observed_at="yesterday")}),
    ("a MISSING observation", lambda: {"observations": observation(verdict="MISSING"), "verdict": "MISSING"}),
    ("a baseline that outranks a comparison", lambda: {
        "provenance": "baseline", "window": window(-1, provenance="baseline"),
        "observations": observation(provenance="baseline", observed_at=None) + observation(decides=False, id="x")}),
    ("no window", lambda: {"window": []}),
    ("a shorter window", lambda: {"window": RECORD.as_json_value()["window"][1:]}),
    ("a window out of order", lambda: {"window": RECORD.as_json_value()["window"][::-1]}),
    ("the day itself is clean", lambda: {"window": window(-1, eligible=True)}),
    ("the day itself has other figures", lambda: {"window": window(-1, missing=0)}),
    ("a missing day with a provenance", lambda: {"window": window(0, verdict="MISSING")}),
    ("a missing day that is eligible", lambda: {"window": window(
        0, verdict="MISSING", provenance=None, missing=None, unexpected=None, mismatched=None, duplicate=None)}),
    ("a clean day with drift", lambda: {"window": window(0, missing=3)}),
    ("live days", lambda: {"live_days": 7}),
    ("a streak of clean days after a FAIL", lambda: {"streak_days": 7}),
    ("an OPEN tenant gate after an undecided day", lambda: {"ready_tenants": ready_tenants(ready=1)}),
    ("more OPEN tenant gates than tenants", lambda: {"ready_tenants": ready_tenants(
        tenants=1, ready=1, drifting={"globex": 6})}),
    ("a tenant gate twice", lambda: {"ready_tenants": ready_tenants(
        nearest={"hooli": 1}, drifting={"hooli": 1})}),
    ("a streak over an undecided day", lambda: {"ready_tenants": ready_tenants(nearest={"hooli": 2})}),
    ("a drifting tenant with a streak", lambda: {"ready_tenants": ready_tenants(nearest={"globex": 1})}),
    ("a tenant gate with other drift", lambda: {"ready_tenants": ready_tenants(drifting={"globex": 5})}),
]


@pytest.mark.parametrize("changes", [pytest.param(changes, id=name) for name, changes in FORGERIES])
def test_forged_record_is_refused_as_contradictory(changes: Callable[[], dict[str, Any]], file: Path) -> None:
    file.write_bytes(forged(**changes()).encode())
    assert "contradicts itself" in refused(file)


@pytest.mark.parametrize(("case", "figures"), [
    ("pass_gate_open", {"ready": 13}), ("baseline", {}), ("inconclusive", {"ready": 1}),
    ("restored_with_missing_day", {"ready": 1}), ("restored_with_missing_day", {"nearest": {"hooli": 4}}),
], ids=str)
def test_record_with_impossible_tenant_gates_contradicts_itself(case: str, figures: dict[str, Any]) -> None:
    record = CASES[case].model_copy(update={"ready_tenants": ready_tenants_of(**figures)})
    assert contradiction(record) is not None


@pytest.mark.parametrize("ready", [9, 12])
def test_record_with_possible_tenant_gates_is_consistent(ready: int) -> None:
    record = CASES["pass_gate_open"].model_copy(update={"ready_tenants": ready_tenants_of(ready=ready)})
    assert contradiction(record) is None


def test_tenant_that_drifted_may_have_left_only_after_the_deciding_observation() -> None:
    """A FAIL decides although a later run passed, because the tenant that drifted was acknowledged as gone."""
    left = {**COMPARED, "coverage": {"acknowledged": ["tenant globex"]}}
    history = clean_week()
    history.add(observation_of(DAY, Verdict.FAIL, hour=9))
    all_others = ready_tenants_of(tenants=11, ready=11)
    last = history.record(DAY, ready_tenants=all_others)
    assert contradiction(last) == "has more tenants that are OPEN or drift than tenants"
    history.add(observation_of(DAY, hour=10, tenants=11, compared=left))
    followed = history.record(DAY, ready_tenants=all_others)
    assert (followed.verdict, contradiction(followed)) == (Verdict.FAIL, None)


def test_forging_without_changes_gives_the_same_report() -> None:
    assert forged() == TEXT


def test_report_in_the_file_of_another_day_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "2026-11-24.md"
    path.write_bytes(TEXT.encode())
    assert "holds the record of 2026-11-23" in refused(path)
    path = tmp_path / "report.md"
    path.write_bytes(TEXT.encode())
    assert "YYYY-MM-DD.md" in refused(path)


def test_file_that_is_not_regular_is_refused(tmp_path: Path, file: Path) -> None:
    link = tmp_path / "2026-11-22.md"
    link.symlink_to(file)
    assert "symbolic link" in refused(link)
    directory = tmp_path / "2026-11-21.md"
    directory.mkdir()
    assert "not a regular file" in refused(directory)
    pipe = tmp_path / "2026-11-20.md"
    os.mkfifo(pipe)
    assert "not a regular file" in refused(pipe)
    assert "cannot be read" in refused(tmp_path / "2026-11-19.md")


def test_huge_file_is_refused_without_reading_it(tmp_path: Path) -> None:
    path = tmp_path / f"{DAY}.md"
    with path.open("wb") as huge:
        huge.truncate(1 << 40)
    script = ("import sys, pathlib; from orgrecon_pipeline_tests.support.default_identity import read_report\n"
              "try: read_report(pathlib.Path(sys.argv[1]))\n"
              "except Exception as e: print(type(e).__name__, e)")

    def limit_memory() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))

    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=False,
                          preexec_fn=limit_memory)
    assert done.stdout.startswith("UnsoundTrail ")
    assert "larger than 16 MiB" in done.stdout


def test_record_with_many_keys_is_refused_quickly(file: Path) -> None:
    keys = "".join(f'"k{number}":0,' for number in range(40_000))
    file.write_text(f'{BODY}<!-- orgrecon-record: {{{keys}"k39999":0}} -->\n', encoding="utf-8")
    before = time.process_time()
    assert "the key 'k39999' twice" in refused(file)
    assert time.process_time() - before < 5


def test_file_that_is_not_utf8_is_refused(file: Path) -> None:
    file.write_bytes(TEXT.encode().replace(b"Summary", b"Summ\xe4ry"))
    assert "UTF-8" in refused(file)
    file.write_bytes(TEXT.encode("utf-16"))
    assert "UTF-8" in refused(file)


def test_message_about_an_invalid_record_contains_no_value(file: Path) -> None:
    value = json.loads(RECORD.line())
    value["tenants"][0]["missing"] = "hunter2"
    file.write_text(f"{BODY}<!-- orgrecon-record: {canonical_json(value)} -->\n", encoding="utf-8")
    assert "hunter2" not in refused(file)


def test_page_with_the_record_of_another_page_is_refused_at_the_first_different_line(file: Path) -> None:
    other = render(clean_week().record(DAY))
    file.write_bytes((BODY + other[other.index("<!-- orgrecon-record") :]).encode())
    assert "was edited: line 3 " in refused(file)


@given(st.data())
@settings(max_examples=150)
def test_random_damage_is_refused_in_one_line(data: st.DataObject) -> None:
    """Change random bytes: the report is always refused in one line, and no other error is raised."""
    content = bytearray(TEXT.encode())
    begin = content.index(b"<!-- orgrecon-record")
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content) - 1) | st.integers(begin, len(content) - 1))
        length = data.draw(st.integers(0, 5))
        json_pieces = st.sampled_from([b"}", b"]", b'"', b"null", b"1", b",", b"{"])
        content[at : at + length] = data.draw(st.binary(max_size=5) | json_pieces)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / f"{DAY}.md"
        path.write_bytes(content)
        if bytes(content) == TEXT.encode():
            read_report(path)
        else:
            refused(path)
