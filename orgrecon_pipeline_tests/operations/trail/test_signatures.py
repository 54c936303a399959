"""Signatures in the life of a trail: publish, import, refresh and sync."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orgrecon_pipeline.config.mapping_file import default_mapping
from orgrecon_pipeline.domain.errors import ConfigurationError, EvidenceNotStored, UnsoundTrail
from orgrecon_pipeline.domain.evidence import Provenance, Verdict
from orgrecon_pipeline.domain.record import Record
from orgrecon_pipeline.operations.context import Context
from orgrecon_pipeline.operations.observe.observe import stamp_baseline
from orgrecon_pipeline.operations.trail.importer import import_report, import_trail
from orgrecon_pipeline.operations.trail.publish import publish
from orgrecon_pipeline.operations.trail.stale_reports import refresh_outdated, stale_reports, unimported_reports
from orgrecon_pipeline.report.render import render
from orgrecon_pipeline.report.signature_file import signature_path
from orgrecon_pipeline.report.write import write_report
from orgrecon_pipeline_tests.support.default_identity import open_ledger, sync_trail, verify_trail
from orgrecon_pipeline_tests.support.report.cases import DAY, History, clean_week, days_back, observation
from orgrecon_pipeline_tests.support.report.signing_keys import private_text, signing_key, write_keys

KEY, OTHER = signing_key(), signing_key("other")
FIRST, SECOND = days_back(3)[0], days_back(2)[0]


@pytest.fixture
def unsigned(tmp_path: Path) -> Context:
    """A context with an empty ledger and output directory, without a key."""
    return Context(default_mapping(), open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}"), tmp_path / "reports")


@pytest.fixture
def signing(unsigned: Context, tmp_path: Path) -> Context:
    """The same context with a key."""
    private, _ = write_keys(tmp_path)
    return replace(unsigned, environ={"ORGRECON_SIGNING_KEY_FILE": str(private)})


def baseline(context: Context, day: Any = DAY) -> Path:
    stamp_baseline(context, day)
    return publish(context, day).path


def write(directory: Path, day: Any = DAY, key: Any = None) -> Path:
    """Write the report of a baseline that no ledger knows."""
    record = History([observation(day, provenance=Provenance.BASELINE)]).record(day)
    return write_report(directory, record, key and key.sign)


def test_published_report_is_signed_and_stays_so(signing: Context) -> None:
    report = baseline(signing)
    assert signature_path(report).read_bytes() == KEY.sign(report.read_bytes())
    assert publish(signing, DAY).path.read_bytes() == report.read_bytes()
    assert verify_trail(signing.output_dir, signed_by=[KEY.public]).sound


def test_report_with_new_bytes_is_signed_again_or_loses_its_signature(signing: Context, unsigned: Context) -> None:
    report = baseline(signing)
    before = report.read_bytes()
    baseline(signing, FIRST)
    assert publish(signing, DAY).path.read_bytes() != before
    assert signature_path(report).read_bytes() == KEY.sign(report.read_bytes())
    baseline(signing, SECOND)
    publish(unsigned, DAY)
    assert not signature_path(report).exists()


@pytest.mark.parametrize("content", [None, b"", b"junk", private_text("cluster")[:-50]])
def test_key_that_cannot_be_used_stops_the_run_before_it_writes(
    content: bytes | None, signing: Context, tmp_path: Path
) -> None:
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)
    broken = replace(signing, environ={"ORGRECON_SIGNING_KEY_FILE": str(path)})
    with pytest.raises(ConfigurationError, match="ORGRECON_SIGNING_KEY_FILE names cannot be used") as refused:
        stamp_baseline(broken, DAY)
    assert str(path) not in str(refused.value)
    assert refused.value.__cause__ is None
    assert signing.ledger.days() == []
    stamp_baseline(signing, DAY)
    with pytest.raises(ConfigurationError):
        publish(broken, DAY)
    assert not signing.output_dir.exists()


@pytest.mark.parametrize(("key", "imported"), [(KEY, True), (OTHER, False), (None, False)])
def test_run_that_signs_adopts_only_reports_that_it_signed(key: Any, imported: bool, signing: Context) -> None:
    write(signing.output_dir, FIRST, key)
    adopted = import_trail(signing.ledger, signing.output_dir, only_unknown=True, signed_by=[KEY.public])
    assert (adopted.days, len(adopted.refused)) == (((FIRST,), 0) if imported else ((), 1))
    if not imported:
        with pytest.raises(UnsoundTrail, match="signed"):
            import_report(signing.ledger, signing.output_dir, FIRST, [KEY.public])
        with pytest.raises(UnsoundTrail, match="a baseline does not replace it"):
            stamp_baseline(signing, FIRST)
        reports = unimported_reports(signing.ledger, str(signing.output_dir), DAY, [KEY.public])
        assert (reports.sound, len(reports.refused)) == ((), 1)
    assert import_trail(signing.ledger, signing.output_dir).refused == ()


def test_run_that_signs_never_signs_the_sentences_of_somebody_else(signing: Context, unsigned: Context) -> None:
    report = baseline(unsigned)
    own, record = report.read_bytes(), publish(unsigned, DAY).record
    text = record.line().replace(record.reason, "All is well: open the gate.")
    reworded = Record.model_validate_json(text)
    report.write_text(render(reworded.model_copy(update={"digest": reworded.expected_digest()})))
    assert b"All is well" in publish(unsigned, DAY).path.read_bytes(), "the sentences of another version stay"
    assert publish(signing, DAY).path.read_bytes() == own


@pytest.mark.parametrize("key", [None, OTHER], ids=["no key", "another key"])
def test_run_that_signs_never_overwrites_evidence_that_only_a_foreign_report_has(key: Any, signing: Context) -> None:
    stamp_baseline(signing, DAY)
    live = History([observation(DAY, Verdict.FAIL)]).record(DAY)
    report = write_report(signing.output_dir, live, key and key.sign)
    before = report.read_bytes()
    with pytest.raises(EvidenceNotStored, match=r"signed.*orgrecon import"):
        publish(signing, DAY)
    assert report.read_bytes() == before
    import_trail(signing.ledger, signing.output_dir)
    assert publish(signing, DAY).record.verdict is Verdict.FAIL
    assert signature_path(report).read_bytes() == KEY.sign(report.read_bytes())


def test_signature_without_its_report_is_a_finding(signing: Context) -> None:
    """Somebody removed the latest report, which no other report shows."""
    baseline(signing, FIRST)
    baseline(signing).unlink()
    for keys in ((), (KEY.public,)):
        [finding] = verify_trail(signing.output_dir, signed_by=keys).findings
        assert finding.endswith(f"{DAY}.md is not there, but its signature is: restore it from version control, or "
                                "remove the signature.")


def test_report_that_lost_its_signature_is_stale_only_if_the_run_signs(signing: Context, unsigned: Context) -> None:
    report = baseline(signing)
    assert list(stale_reports(signing, [DAY], {DAY})) == []
    for damage in (b"junk", None):
        signature_path(report).unlink()
        if damage:
            signature_path(report).write_bytes(damage)
        assert list(stale_reports(unsigned, [DAY], {DAY})) == []
        [stale] = stale_reports(signing, [DAY], {DAY})
        assert stale.why == "it is not signed"
        publish(signing, DAY)
        assert list(stale_reports(signing, [DAY], {DAY})) == []


def test_signed_outdated_report_is_rendered_only_by_a_run_that_signs(signing: Context, unsigned: Context) -> None:
    report = baseline(signing)
    write(signing.output_dir, FIRST, KEY)
    outdated = verify_trail(signing.output_dir)
    assert list(outdated.outdated) == [DAY]
    assert refresh_outdated(unsigned, outdated) == []
    assert refresh_outdated(signing, outdated) == [DAY]
    assert signature_path(report).read_bytes() == KEY.sign(report.read_bytes())
    assert verify_trail(signing.output_dir, signed_by=[KEY.public]).sound


def test_sync_copies_signatures_and_adds_missing_ones(tmp_path: Path) -> None:
    history, source, target = clean_week(), tmp_path / "source", tmp_path / "target"
    days = sorted(history.by_day)
    for day in days:
        write_report(source, history.record(day), KEY.sign)
    write_report(target, history.record(days[0]))
    write_report(target, history.record(days[1]), OTHER.sign)
    done = sync_trail(source, target, DAY)
    assert (done.signed, done.unchanged, len(done.copied)) == ([days[0]], [days[1]], len(days) - 2)
    assert next(line for line in done.lines() if "signature" in line) == f"{days[0]}: signature added"
    verified = verify_trail(target, signed_by=[KEY.public, OTHER.public])
    assert (verified.sound, verified.reports) == (True, len(days))
    assert sync_trail(source, target, DAY).unchanged == days


@pytest.mark.parametrize("signature", [None, b"junk", KEY.sign(b"other bytes")])
def test_sync_copies_no_signature_that_does_not_match(signature: bytes | None, tmp_path: Path) -> None:
    report = write(tmp_path / "source")
    if signature is not None:
        signature_path(report).write_bytes(signature)
    sync_trail(tmp_path / "source", tmp_path / "target", DAY)
    assert [path.name for path in (tmp_path / "target").iterdir()] == [report.name]


def test_sync_never_leaves_the_signature_of_a_replaced_report(tmp_path: Path) -> None:
    report = write(tmp_path / "target", key=KEY)
    live = History([observation()]).record(DAY)
    write_report(tmp_path / "source", live)
    assert list(sync_trail(tmp_path / "source", tmp_path / "target", DAY).copied) == [DAY]
    assert report.read_text() == render(live)
    assert not signature_path(report).exists()


def _edit_report(report: Path) -> None:
    report.write_text(report.read_text().replace("GATE", "GÄTE", 1))


def _remove_signature(report: Path) -> None:
    signature_path(report).unlink()


def _sign_with_another_key(report: Path) -> None:
    signature_path(report).write_bytes(OTHER.sign(report.read_bytes()))


def _sign_other_bytes(report: Path) -> None:
    signature_path(report).write_bytes(KEY.sign(report.read_bytes() + b"\n"))


def _damage_signature(report: Path) -> None:
    signature_path(report).write_bytes(signature_path(report).read_bytes()[:-40])


def _replace_signature_by_a_link(report: Path) -> None:
    moved = signature_path(report).rename(report.parent.parent / "moved.sig")
    signature_path(report).symlink_to(moved)


def _write_the_record_of_another_ledger(report: Path) -> None:
    """Forge a sound report of the day, as anybody can without the key."""
    report.write_text(render(History([observation(tenants=3)]).record(DAY)))


@pytest.mark.parametrize(("tamper", "problem"), [
    (_edit_report, "was edited"),
    (_remove_signature, "is not signed: "),
    (_sign_with_another_key, f"is signed by another key ({OTHER.public.fingerprint})"),
    (_sign_other_bytes, "does not match its signature"),
    (_damage_signature, "has a signature that is damaged"),
    (_replace_signature_by_a_link, "has a signature that is damaged"),
    (_write_the_record_of_another_ledger, "does not match its signature"),
], ids=lambda value: value.__name__ if callable(value) else "")
def test_report_that_no_named_key_signed_is_one_finding(tamper: Any, problem: str, tmp_path: Path) -> None:
    history, reports = clean_week(), tmp_path / "reports"
    for day in history.by_day:
        write_report(reports, history.record(day), KEY.sign)
    assert verify_trail(reports, signed_by=[OTHER.public, KEY.public]).sound
    tamper(reports / f"{DAY}.md")
    [finding] = verify_trail(reports, signed_by=[KEY.public]).findings
    assert finding.startswith(f"{reports / f'{DAY}.md'} {problem}")
    assert "\n" not in finding
