"""A tenant of a real company drifts, departs and is redacted: neither its name, keys nor values are left."""

from __future__ import annotations

from pathlib import Path

from orgrecon_pipeline.domain.coverage import CoverageSubject
from orgrecon_pipeline.domain.evidence import Verdict
from orgrecon_pipeline.operations.trail.ledger_chain import verify_ledger
from orgrecon_pipeline.operations.trail.publish import publish
from orgrecon_pipeline.operations.trail.redact_tenant import redact_tenant
from orgrecon_pipeline.report.verify import verify_trail
from orgrecon_pipeline_tests.support.operations.site import Site


def files_with(directory: Path, text: str) -> list[str]:
    return [path.name for path in sorted(directory.rglob("*")) if path.is_file() and text.encode() in path.read_bytes()]


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
    assert redacted.reports == (failed.day,)
    assert {key.tenant for key in site.ledger.keys(failed)} == {redacted.pseudonym}
    after = site.observe()
    assert after.verdict is Verdict.PASS
    assert redacted.pseudonym not in set(site.ledger.known_names(CoverageSubject.TENANT))
    publish(site.context, failed.day)
    assert verify_trail(site.context.output_dir, site.ledger.identity).sound
    assert verify_ledger(site.ledger, site.context.output_dir).findings == ()
