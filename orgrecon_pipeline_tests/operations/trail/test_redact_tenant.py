"""A redaction removes a tenant from ledger and reports, with its keys and values, and changes no other answer."""

from __future__ import annotations

import json
import random
import shutil
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from orgrecon_pipeline.config.mapping_file import default_mapping
from orgrecon_pipeline.config.settings import read_settings
from orgrecon_pipeline.domain.canonical import canonical_json
from orgrecon_pipeline.domain.coverage import CoverageChange, CoverageEvent, CoverageSubject
from orgrecon_pipeline.domain.errors import AlreadyRunning, UnsoundTrail, UsageError
from orgrecon_pipeline.domain.evidence import Verdict
from orgrecon_pipeline.domain.record import Record
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline.operations.context import Context
from orgrecon_pipeline.operations.gate.sources import gather_evidence
from orgrecon_pipeline.operations.gate.tenants import TenantGates
from orgrecon_pipeline.operations.trail.importer import import_trail
from orgrecon_pipeline.operations.trail.ledger_chain import verify_ledger
from orgrecon_pipeline.operations.trail.publish import publish, record_of
from orgrecon_pipeline.operations.trail.redact_tenant import redact_tenant
from orgrecon_pipeline.operations.trail.redacted_names import without_redacted_names
from orgrecon_pipeline.operations.trail.sync import sync_trail
from orgrecon_pipeline.report.verify import verify_trail
from orgrecon_pipeline_tests.support.default_identity import open_ledger
from orgrecon_pipeline_tests.support.ledger.cases import observation, raw_connection
from orgrecon_pipeline_tests.support.operations.site import Site
from orgrecon_pipeline_tests.support.operations.tenant_history import TENANTS, days_of, random_history, store

BECAUSE = "the contract of acme ended"
TODAY = datetime.now(timezone.utc).date()


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of eight days with reports, on one of which globex drifted before it departed."""
    directory, both, alone = tmp_path_factory.mktemp("stored"), frozenset({"acme", "globex"}), frozenset({"acme"})
    store(directory, days_of([(both, frozenset()), (both, frozenset({"globex"})), *[(alone, frozenset())] * 6]))
    return directory


@pytest.fixture
def departed(stored: Path, tmp_path: Path) -> Context:
    """The context of a copy of that directory."""
    shutil.copytree(stored, tmp_path, dirs_exist_ok=True)
    return Context(default_mapping(), open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}"), tmp_path / "reports")


def answers(directory: Path, ledger: Ledger) -> dict[str, Any]:
    """Return every answer that somebody gets about a ledger and its trail."""
    known = {"ORGRECON_LEDGER_URL": f"sqlite:///{directory / 'ledger.db'}",
             "ORGRECON_OUTPUT_DIR": str(directory / "reports")}
    values: dict[str, Any] = {}
    for trail in (None, directory / "reports"):
        gates = TenantGates(gather_evidence(read_settings(known), trail=trail))
        company = gates.company.as_json_value()
        values[f"gate, trail {trail}"] = {name: value for name, value in company.items() if name != "chain"}
        values[f"tenants, trail {trail}"] = sorted(map(canonical_json, (a.as_json_value() for a in gates.all())))
    for day in ledger.days():
        record = record_of(ledger, day).as_json_value()
        del record["digest"]
        values[f"record {day}"] = {**record, "tenants": sorted(map(canonical_json, record["tenants"]))}
    values["known"] = sorted(ledger.known_names(CoverageSubject.TENANT))
    trail_now = verify_trail(directory / "reports", ledger.identity)
    values["trail"] = [trail_now.sound, sorted(trail_now.outdated), trail_now.holes]
    return values


def named(value: Any, pseudonym: str, name: str) -> Any:
    """Return the answers with the name instead of the pseudonym, in the order of the names."""
    renamed = json.loads(json.dumps(value, default=str).replace(pseudonym, name))
    return {key: sorted(of) if isinstance(of, list) and key != "trail" else
            {**of, "tenants": sorted(of["tenants"])} if key.startswith("record") else of
            for key, of in renamed.items()}


@pytest.mark.parametrize("seed", range(4))
def test_redaction_changes_no_answer_except_the_name(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    context = store(tmp_path, random_history(rng))
    for name in rng.sample(TENANTS, 2):
        before = json.loads(json.dumps(answers(tmp_path, context.ledger), default=str))
        if not any(f'"{name}"' in str(answer) for answer in before.values()):
            continue  # it never existed
        redacted = redact_tenant(context, name, BECAUSE, force=True)
        after = answers(tmp_path, context.ledger)
        assert named(after, redacted.pseudonym, name) == named(before, redacted.pseudonym, name)
        verification = verify_ledger(context.ledger, context.output_dir)
        assert verification.findings == ()
        assert verification.redactions[-1].pseudonym == redacted.pseudonym
        assert files_with(tmp_path, name) == []


def files_with(directory: Path, text: str) -> list[str]:
    return [path.name for path in sorted(directory.rglob("*")) if path.is_file() and text.encode() in path.read_bytes()]


def test_expected_tenant_is_not_redacted(departed: Context) -> None:
    with pytest.raises(UsageError, match="the next comparison expects the tenant 'acme'"):
        redact_tenant(departed, "acme", BECAUSE)
    assert departed.ledger.redactions() == []


def test_forced_redaction_is_expected_by_the_next_comparison_under_its_pseudonym(departed: Context) -> None:
    """Otherwise a tenant whose rows were lost could be forgotten."""
    pseudonym = redact_tenant(departed, "acme", BECAUSE, force=True).pseudonym
    assert list(departed.ledger.known_names(CoverageSubject.TENANT)) == [pseudonym]


@pytest.mark.parametrize(("name", "message"), [
    ("nobody", "no evidence names the tenant 'nobody'"),
    ("redacted-0123456789abcdef", "is a pseudonym"),
])
def test_unknown_tenant_is_refused(departed: Context, name: str, message: str) -> None:
    links = departed.ledger.links()
    with pytest.raises(UsageError, match=message):
        redact_tenant(departed, name, BECAUSE)
    assert departed.ledger.links() == links
    assert list(departed.ledger.chain_breaks()) == []


def test_redaction_waits_for_no_comparison(departed: Context) -> None:
    with departed.ledger.observation_lock(), pytest.raises(AlreadyRunning):
        redact_tenant(departed, "globex", BECAUSE)


def test_incomplete_comparison_of_today_is_not_redacted(departed: Context) -> None:
    departed.ledger.append(observation("x", TODAY, tenants_scanned=None, entities={}), (), (), ())
    departed.ledger.append_shard_result("x", "eu1", False, {"present": ["globex"]})
    with pytest.raises(UsageError, match="is incomplete"):
        redact_tenant(departed, "globex", BECAUSE)


def test_report_that_was_not_imported_is_imported_before_a_redaction(departed: Context) -> None:
    """Otherwise it would keep the name, and nobody would learn of it."""
    other = store(departed.output_dir.parent / "other", days_of(
        [(frozenset({"acme", "globex"}), frozenset({"globex"}))] * 2, ends_days_ago=30))
    shutil.copytree(other.output_dir, departed.output_dir, dirs_exist_ok=True)
    links = departed.ledger.links()
    with pytest.raises(UsageError, match=r"observations that the ledger lacks.*run orgrecon import"):
        redact_tenant(departed, "globex", BECAUSE)
    assert departed.ledger.links() == links
    import_trail(departed.ledger, departed.output_dir)
    redact_tenant(departed, "globex", BECAUSE)
    assert files_with(departed.output_dir, "globex") == []


def test_redaction_does_not_hide_an_edit(departed: Context, tmp_path: Path) -> None:
    with raw_connection(f"sqlite:///{tmp_path / 'ledger.db'}") as connection:
        connection.execute("DROP TRIGGER orgrecon_tenant_row_no_update")
        connection.execute("DROP TRIGGER orgrecon_tenant_row_only_redaction")
        connection.execute("UPDATE orgrecon_tenant_row SET missing = 0, drift = 0 WHERE tenant = 'globex'")
    with pytest.raises(UnsoundTrail, match="nothing was redacted, because the ledger is not sound: link 3"):
        redact_tenant(departed, "globex", BECAUSE)
    assert departed.ledger.redactions() == []


def test_reason_of_a_redaction_does_not_name_the_tenant(departed: Context) -> None:
    pseudonym = redact_tenant(departed, "globex", "Globex asked us to forget globex").pseudonym
    assert departed.ledger.redactions()[0].reason == f"{pseudonym} asked us to forget {pseudonym}"


def test_redaction_that_ended_before_it_rendered_the_reports_is_continued(departed: Context, tmp_path: Path) -> None:
    shutil.copytree(departed.output_dir, tmp_path / "old")
    first = redact_tenant(departed, "globex", BECAUSE)
    shutil.copytree(tmp_path / "old", departed.output_dir, dirs_exist_ok=True)
    assert redact_tenant(departed, "globex", BECAUSE) == first
    assert len(departed.ledger.redactions()) == 1
    assert files_with(departed.output_dir, "globex") == []


def test_tenant_whose_name_returns_gets_its_pseudonym_again(departed: Context) -> None:
    first = redact_tenant(departed, "globex", BECAUSE)
    late = observation("late", TODAY - timedelta(days=20))
    departed.ledger.append(late, (), (), [CoverageEvent(CoverageSubject.TENANT, "globex", CoverageChange.DEPARTED)])
    assert redact_tenant(departed, "globex", BECAUSE).pseudonym == first.pseudonym
    assert list(departed.ledger.chain_breaks()) == []


@pytest.mark.parametrize("rebuilt", [False, True], ids=["the same evidence", "evidence that the ledger lacks"])
def test_import_of_an_older_report_does_not_bring_the_name_back(
    departed: Context, tmp_path: Path, rebuilt: bool
) -> None:
    shutil.copytree(departed.output_dir, tmp_path / "old")
    redacted = redact_tenant(departed, "globex", BECAUSE)
    if rebuilt:  # as if another ledger had made the reports
        for path in sorted((tmp_path / "old").iterdir())[:-3]:
            path.unlink()
        other = store(tmp_path / "other", days_of(
            [(frozenset({"acme", "globex"}), frozenset({"globex"}))] * 2, ends_days_ago=30))
        shutil.copytree(other.output_dir, tmp_path / "old", dirs_exist_ok=True)
    known = sorted(departed.ledger.known_names(CoverageSubject.TENANT))
    imported = import_trail(departed.ledger, tmp_path / "old")
    assert (imported.observations, imported.refused) == (2 if rebuilt else 0, ())
    assert "globex" not in (departed.output_dir.parent / "ledger.db").read_bytes().decode("latin-1")
    assert "globex" not in sorted(departed.ledger.known_names(CoverageSubject.TENANT))
    assert set(known) <= set(departed.ledger.known_names(CoverageSubject.TENANT)) <= {*known, redacted.pseudonym}


def test_sync_replaces_reports_by_redacted_ones_and_never_back(departed: Context, tmp_path: Path) -> None:
    shutil.copytree(departed.output_dir, tmp_path / "repository")
    shutil.copytree(departed.output_dir, tmp_path / "old")
    redacted = redact_tenant(departed, "globex", BECAUSE)
    identity = departed.ledger.identity
    synced = sync_trail(departed.output_dir, tmp_path / "repository", identity, TODAY)
    assert synced.conflicts == synced.disagreements == []
    assert set(redacted.reports) == set(synced.copied)
    assert files_with(tmp_path / "repository", "globex") == []
    back = sync_trail(tmp_path / "old", tmp_path / "repository", identity, TODAY)
    assert (list(back.copied), back.conflicts) == ([], [])
    assert set(back.kept.values()) == {"a tenant was redacted in it"}
    assert verify_trail(tmp_path / "repository", identity).sound


def test_rebuilt_ledger_gives_the_same_redacted_reports(departed: Context, tmp_path: Path) -> None:
    redact_tenant(departed, "globex", BECAUSE)
    rebuilt = open_ledger(f"sqlite:///{tmp_path / 'rebuilt.db'}")
    import_trail(rebuilt, departed.output_dir)
    for day in departed.ledger.days():
        assert record_of(rebuilt, day) == record_of(departed.ledger, day)


def test_redacted_name_that_only_a_renamed_pair_shows_gets_its_pseudonym(departed: Context) -> None:
    pseudonym = redact_tenant(departed, "globex", BECAUSE).pseudonym
    value = record_of(departed.ledger, departed.ledger.days()[-1]).as_json_value()
    for outcome in (value, *value["observations"]):
        outcome["compared"]["coverage"] = {"renamed": [["globex", "Globex"]]}

    imported = without_redacted_names(departed.ledger, Record.model_validate(value))

    assert imported.compared["coverage"]["renamed"] == [[pseudonym, "Globex"]]
    assert "globex" not in imported.model_dump_json()


def names_in_fingerprints(site: Site) -> set[str]:
    """Return the tenants of all stored fingerprints, which are compressed."""
    return {name for day in site.ledger.days() for observation in site.ledger.observations(day)
            for of_shard in site.ledger.fingerprints(observation.id).values() for name in of_shard.tenants}


def test_nothing_of_a_departed_tenant_is_left_after_its_redaction(site: Site, tmp_path: Path) -> None:
    report = site.mapping.report.model_copy(update={"sample_values": True})
    site.mapping = site.mapping.model_copy(update={"report": report})
    [(tenant, user)] = site.admin.execute(
        "SELECT tenant_id, user_id::text FROM public.org_unit_memberships ORDER BY 1, 2 LIMIT 1").fetchall()
    assert site.observe().verdict is Verdict.PASS
    site.run(f"DELETE FROM public.org_unit_memberships WHERE user_id::text = '{user}'",
             f"UPDATE public.org_units SET name = 'Secret value' WHERE tenant_id = '{tenant}'",
             f"UPDATE public.teams SET name = 'Other value' WHERE tenant_id = '{tenant}'")
    failed = site.observe()
    assert failed.verdict is Verdict.FAIL
    publish(site.context, failed.day)
    assert tenant in names_in_fingerprints(site)
    texts = [tenant, user, "Secret value", "Other value"]
    for text in texts:
        assert set(files_with(tmp_path, text)) == {"ledger.db", f"{failed.day}.md"}
    site.run(*(f"DELETE FROM public.{table} WHERE {column} = '{tenant}'" for table, column in (
        ("org_unit_memberships", "tenant_id"), ("org_units", "tenant_id"), ("team_members", "tenant_id"),
        ("teams", "tenant_id"), ("tenants", "id"))))
    assert site.observe().verdict is Verdict.PASS
    publish(site.context, failed.day)
    redacted = redact_tenant(site.context, tenant, f"{tenant} asked for it")
    for text in texts:
        assert files_with(tmp_path, text) == []
    assert tenant not in names_in_fingerprints(site)
    assert redacted.reports == (failed.day,)
    assert {key.tenant for key in site.ledger.keys(failed)} == {redacted.pseudonym}
    after = site.observe()
    assert after.verdict is Verdict.PASS
    assert redacted.pseudonym not in set(site.ledger.known_names(CoverageSubject.TENANT))
    publish(site.context, failed.day)
    assert verify_trail(site.context.output_dir, site.ledger.identity).sound
    assert verify_ledger(site.ledger, site.context.output_dir).findings == ()
