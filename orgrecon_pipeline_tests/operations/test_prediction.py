"""Prediction of the next comparison's duration on real databases, in ``doctor`` and in the progress."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orgrecon_pipeline.domain.duration import Prediction
from orgrecon_pipeline.operations.doctor import Diagnosis, diagnose
from orgrecon_pipeline_tests.support.operations.shards import ShardedSite
from orgrecon_pipeline_tests.support.operations.site import READER, Site


def estimate(diagnosis: Diagnosis) -> tuple[Prediction, str]:
    """Return the prediction, and what the finding says about it."""
    [text] = [finding.text for finding in diagnosis.findings if finding.topic == "estimated time"]
    assert diagnosis.prediction
    assert diagnosis.as_json_value()["prediction"] == diagnosis.prediction.as_json_value()
    return diagnosis.prediction, text


def test_prediction_uses_the_statistics_until_a_comparison_is_stored(site: Site) -> None:
    site.run("ANALYZE")
    predicted, text = estimate(diagnose(site.context))
    observation = site.observe()
    assert predicted.basis == "statistics"
    assert predicted.rows == pytest.approx(observation.rows_compared, rel=0.05)
    assert text == (f"less than a second for about {predicted.rows:,} rows (by the server's statistics), "
                    "if the tables are in memory")

    predicted, text = estimate(diagnose(site.context))
    assert predicted.basis == "last_comparison"
    assert predicted.seconds == pytest.approx(observation.compared["seconds"], rel=0.05)
    assert f"as the last comparison took {observation.compared['seconds']:.1f} s" in text


def test_prediction_names_the_duration_if_keys_drift(site: Site) -> None:
    site.run("ANALYZE")
    waits = site.mapping.scan.model_copy(update={"settle_seconds": 5.0, "rechecks": 3})
    predicted, text = estimate(diagnose(
        replace(site, mapping=site.mapping.model_copy(update={"scan": waits})).context))
    assert predicted.seconds
    assert predicted.seconds_if_drift == pytest.approx(predicted.seconds + 15)
    assert text.endswith("; about 15 s if keys drift, because each recheck waits first")


def test_prediction_grows_with_the_tables(site: Site) -> None:
    seconds = site.observe().compared["seconds"]
    site.run("INSERT INTO team_members SELECT tenant_id, team_id, gen_random_uuid(), role FROM team_members, "
             "generate_series(1, 200)", "ANALYZE")
    predicted, _ = estimate(diagnose(site.context))
    assert predicted.seconds
    assert predicted.seconds >= seconds
    assert predicted.rows
    assert predicted.rows > 50 * 12 * 8


def test_prediction_without_statistics_names_the_tables_to_analyse(site: Site) -> None:
    if site.admin.info.server_version < 140_000:
        pytest.skip("before PostgreSQL 14, a table that was never analysed looks like an empty one")
    site.run("CREATE TABLE again AS TABLE team_members", "DROP TABLE team_members CASCADE",
             "ALTER TABLE again RENAME TO team_members", f"GRANT SELECT ON team_members TO {READER}")
    predicted, text = estimate(diagnose(site.context))
    assert (predicted.seconds, predicted.basis) == (None, "nothing")
    assert text == "unknown: the server has no statistics of public.team_members, so run ANALYZE"


def test_comparison_of_another_mapping_predicts_nothing(site: Site) -> None:
    site.run("ANALYZE")
    site.observe()
    [members] = [name for name in site.mapping.entities if "member" in name]
    narrow = site.mapping.model_copy(update={"entities": {members: site.mapping.entities[members]}})
    assert estimate(diagnose(replace(site, mapping=narrow).context))[0].basis == "statistics"


def test_problem_leaves_nothing_to_predict(site: Site) -> None:
    site.run("DROP TABLE team_members")
    diagnosis = diagnose(site.context)
    assert not diagnosis.ready
    assert diagnosis.prediction is None
    assert diagnosis.as_json_value()["prediction"] is None


def test_shards_have_one_prediction_together(shards: ShardedSite) -> None:
    for admin in shards.admins.values():
        admin.execute("ANALYZE")
    predicted, _ = estimate(diagnose(shards.context))
    assert predicted.rows == pytest.approx(shards.observe().rows_compared, rel=0.05)
