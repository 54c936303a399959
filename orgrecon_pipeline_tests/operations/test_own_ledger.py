"""A command that could mean several identities of the ledger lists them, and goes on once the names are given."""

from __future__ import annotations

from pathlib import Path

import pytest

from orgrecon_pipeline.config.mapping_file import default_mapping
from orgrecon_pipeline.config.settings import read_settings
from orgrecon_pipeline.domain.errors import OtherIdentity, UsageError
from orgrecon_pipeline.domain.evidence import Provenance
from orgrecon_pipeline.domain.identity import Identity
from orgrecon_pipeline.domain.mapping.model import MappingConfig, Migration
from orgrecon_pipeline.ledger.open import open_ledger
from orgrecon_pipeline.operations.context import Context
from orgrecon_pipeline.operations.gate.sources import answer_gate, evidence_of_ledger
from orgrecon_pipeline.operations.observe.observe import stamp_baseline
from orgrecon_pipeline.operations.own_ledger import existing_ledger, own_ledger
from orgrecon_pipeline.operations.trail.publish import publish
from orgrecon_pipeline_tests.support.ledger.cases import observation

PROD, STAGING, TEAMS = Identity("org-v23", "prod"), Identity("org-v23", "staging"), Identity("teams", "")


def mapping_named(name: str | None) -> MappingConfig:
    migration = Migration(name=name, title="A title") if name else Migration()
    return default_mapping().model_copy(update={"migration": migration})


@pytest.mark.parametrize(("stored", "migration", "environment", "listed"), [
    ([], None, None, None),
    ([Identity()], None, None, None),
    ([PROD], None, "prod", None),
    ([PROD], None, "", None),
    ([PROD], "org-v23", "", None),
    ([PROD], None, None, "org-v23 in prod, and ORGRECON_ENVIRONMENT is not set"),
    ([Identity(), PROD, STAGING], None, None, "org-v23 in prod and org-v23 in staging, and ORGRECON_"),
    ([PROD], "teams", None, None),
    ([TEAMS], None, None, "teams, and the mapping names no migration"),
    ([TEAMS], None, "prod", None),
    ([TEAMS, PROD], None, None, "org-v23 in prod and teams, and the mapping names no migration and "),
])
def test_command_lists_the_identities_that_it_could_mean(
    stored: list[Identity], migration: str | None, environment: str | None, listed: str | None, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    for identity in stored or [Identity()]:
        open_ledger(url, identity)
    for identity in stored:
        open_ledger(url, identity).append(observation("a"), (), (), ())
    environ = {"ORGRECON_LEDGER_URL": url, **({} if environment is None else {"ORGRECON_ENVIRONMENT": environment})}
    for opening in (own_ledger, existing_ledger):
        if listed is None:
            opened = opening(read_settings(environ), mapping_named(migration))
            assert opened is not None
            assert opened.identity == Identity(migration or "org-v23", environment or "")
            continue
        with pytest.raises(UsageError) as refused:
            opening(read_settings(environ), mapping_named(migration))
        assert listed in str(refused.value)
        assert "\n" not in str(refused.value)


def test_reports_of_another_identity_close_the_gate_and_end_the_commands(tmp_path: Path) -> None:
    mapping, url, reports = default_mapping(), f"sqlite:///{tmp_path / 'ledger.db'}", tmp_path / "reports"
    prod, staging = (Context(mapping, open_ledger(url, identity), reports) for identity in (PROD, STAGING))
    day = prod.clock.today()
    assert stamp_baseline(prod, day).observation.provenance is Provenance.BASELINE
    publish(prod, day)
    for action in (stamp_baseline, publish):
        with pytest.raises(OtherIdentity, match="belongs to org-v23 in prod, not org-v23 in staging"):
            action(staging, day)
    assert staging.ledger.days() == []
    _, distrust, _ = evidence_of_ledger(staging.ledger, reports, mapping.gate)
    assert distrust is not None
    assert (distrust.code.value, distrust.parameters) == ("other_identity", PROD.as_json_value())
    settings = read_settings({"ORGRECON_LEDGER_URL": url, "ORGRECON_OUTPUT_DIR": str(reports),
                              "ORGRECON_ENVIRONMENT": "staging"})
    for trail in (None, reports):
        with pytest.raises(OtherIdentity, match="set ORGRECON_ENVIRONMENT=prod, or name another directory"):
            answer_gate(settings, trail=trail, day=None, require_live=0)
