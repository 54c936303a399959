"""Two components in a company's code location: nothing of one acts on the other, or on the company's own."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from orgrecon_pipeline.config.mapping_file import load_mapping
from orgrecon_pipeline.defs.assemble import assemble
from orgrecon_pipeline.defs.component import OrgreconComponent
from orgrecon_pipeline.defs.jobs import PARTITION_TAG
from orgrecon_pipeline.defs.names import ENVIRONMENT_TAG
from orgrecon_pipeline_tests.support.defs.company_project import company
from orgrecon_pipeline_tests.support.defs.world import QUIET, World
from orgrecon_pipeline_tests.support.notify.webhook import Webhook, running_webhook

DAY = date(2026, 3, 10)
PROD, STAGING = "org_v23_prod", "org_v23_staging"


class Location:
    """A company's code location with a component for prod and one for staging, and an instance."""

    def __init__(self, world: World, instance: dg.DagsterInstance, definitions: dg.Definitions) -> None:
        self.world, self.instance, self.definitions = world, instance, definitions
        self.cursors: dict[str, str | None] = {}

    def run(self, job: str, **run: Any) -> dg.ExecuteInProcessResult:
        """Run a job in this process."""
        return self.definitions.resolve_job_def(job).execute_in_process(
            instance=self.instance, raise_on_error=False, run_config=QUIET, **run)

    def start(self, job: str, assets: set[dg.AssetKey] | None = None, **tags: str) -> None:
        """Create a run of the day that has started and never ends."""
        repository = self.definitions.get_repository_def()
        definition = repository.get_job(job)
        self.instance.create_run_for_job(
            definition, tags={**definition.tags, PARTITION_TAG: DAY.isoformat(), **tags},
            status=dg.DagsterRunStatus.STARTED, asset_selection=frozenset(assets) if assets else None)

    def evaluate(self, sensor: str) -> tuple[list[str], str]:
        """Evaluate a sensor; return the requested days, and the reason if there are none."""
        repository = self.definitions.get_repository_def()
        with dg.build_sensor_context(
            instance=self.instance, repository_def=repository, cursor=self.cursors.get(sensor),
            resources=dict(self.definitions.resources or {}),
        ) as context:
            data = repository.get_sensor_def(sensor).evaluate_tick(context)
        self.cursors[sensor] = data.cursor
        return [str(request.partition_key) for request in data.run_requests or ()], data.skip_message or ""


def component(world: World, environment: str, **fields: Any) -> dg.Definitions:
    """Return the definitions of a component whose ledger and output directory are named after its environment."""
    mapping_file = world.environ["ORGRECON_MAPPING"]
    orgrecon = OrgreconComponent(environment=environment, ledger_env=f"LEDGER_OF_{environment.upper()}", **fields)
    return assemble(orgrecon.parts(load_mapping(mapping_file, {}), world.environ, mapping_file=mapping_file,
                                   output_dir=str(world.directory / environment)))


@pytest.fixture
def location(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Location]:
    for environment in ("prod", "staging"):
        monkeypatch.setenv(f"LEDGER_OF_{environment.upper()}", f"sqlite:///{tmp_path / environment}.db")
    definitions = dg.Definitions.merge(
        company(), component(world, "prod", upstream={"public.teams": "ingest/teams"}), component(world, "staging"))
    dg.Definitions.validate_loadable(definitions)
    with dg.instance_for_test(temp_dir=str(tmp_path)) as instance:
        yield Location(world, instance, definitions)


def test_company_with_equal_names_merges_with_two_components(location: Location) -> None:
    graph = location.definitions.resolve_asset_graph()
    keys = {key.to_user_string() for key in graph.materializable_asset_keys}
    assert {"daily_summary", "org_v23/prod/daily_summary", "org_v23/staging/daily_summary"} <= keys
    assert dg.AssetKey(["ingest", "teams"]) in graph.get(dg.AssetKey(["org_v23", "prod", "tenant_drift"])).parent_keys
    assert {"ledger", "clock", "orgrecon_org_v23__prod", "orgrecon_org_v23__staging"} <= set(
        location.definitions.resources or {})


def test_day_job_materialises_its_own_component_only(location: Location) -> None:
    location.world.set_clock(DAY)
    assert location.run(f"{PROD}_reconcile_day", partition_key=DAY.isoformat()).success
    materialised = {key.to_user_string() for key in location.instance.all_asset_keys()
                    if location.instance.fetch_materializations(key, limit=1).records}
    assert materialised == {f"org_v23/prod/{asset}" for asset in (
        "tenant_drift", "daily_summary", "rolling_window", "markdown_report", "drift_gate")}
    assert [path.name for path in (location.world.directory / "prod").glob("*.md")] == [f"{DAY}.md"]
    assert not (location.world.directory / "staging").exists()


@pytest.mark.parametrize(("job", "assets", "delays"), [
    (f"{PROD}_reconcile_day", None, True),
    ("__ASSET_JOB", {dg.AssetKey(["org_v23", "prod", "tenant_drift"])}, True),
    ("__ASSET_JOB", {dg.AssetKey("daily_summary")}, False),
    ("__ASSET_JOB", {dg.AssetKey(["org_v23", "staging", "tenant_drift"])}, False),
    (f"{STAGING}_reconcile_day", None, False),
    ("reconcile_day", None, False),
])
def test_only_an_active_run_of_the_component_delays_its_day(
    location: Location, job: str, assets: set[dg.AssetKey] | None, delays: bool,
) -> None:
    location.world.set_clock(DAY, 9)
    location.start(job, assets)
    requested, reason = location.evaluate(f"{PROD}_owed_days")
    assert (requested == []) is delays
    assert ("under way" in reason) is delays


def test_active_run_of_another_location_does_not_delay_the_day(location: Location) -> None:
    """Two locations of one instance can have jobs of the same name."""
    location.world.set_clock(DAY, 9)
    location.start(f"{PROD}_reconcile_day", **{ENVIRONMENT_TAG: "staging"})
    assert location.evaluate(f"{PROD}_owed_days")[0] == [DAY.isoformat()]


def test_failure_is_notified_by_its_own_component_only(location: Location, monkeypatch: pytest.MonkeyPatch) -> None:
    with running_webhook() as webhook:
        monkeypatch.setenv("ORGRECON_NOTIFY_URLS", webhook.url())
        for name in (PROD, STAGING):
            location.evaluate(f"{name}_run_failed")
        location.world.set_clock(DAY)
        yesterday = (DAY - timedelta(days=1)).isoformat()
        assert not location.run(f"{STAGING}_reconcile_day", partition_key=yesterday).success
        assert not location.run("reconcile_day", partition_key=yesterday).success
        assert sent_by(location, webhook, PROD) == []
        [title] = sent_by(location, webhook, STAGING)
        assert f"{STAGING}_reconcile_day" in title


def sent_by(location: Location, webhook: Webhook, name: str) -> list[str]:
    webhook.messages.clear()
    location.evaluate(f"{name}_run_failed")
    return webhook.titles


def test_assets_renamed_afterwards_are_still_recognised(location: Location) -> None:
    """A company can prefix keys and change specs of what a component returns."""
    def renamed(asset: Any) -> Any:
        if not isinstance(asset, dg.AssetsDefinition):
            return asset
        keys = {key: key.with_prefix("data") for key in {*asset.keys, *asset.dependency_keys} if "prod" in key.path}
        return asset.with_attributes(asset_key_replacements=keys)

    prod = component(location.world, "prod")
    assets = dg.map_asset_specs(lambda spec: spec.merge_attributes(tags={"tier": "1"}), prod.assets or ())
    location.definitions = dg.Definitions.merge(company(), dg.Definitions(
        assets=[renamed(asset) for asset in assets if isinstance(asset, dg.AssetsDefinition)], jobs=prod.jobs,
        schedules=prod.schedules, sensors=prod.sensors, resources=prod.resources))
    gate = dg.AssetKey(["data", "org_v23", "prod", "drift_gate"])
    location.world.set_clock(DAY, 9)
    assert location.evaluate(f"{PROD}_owed_days")[0] == [DAY.isoformat()]
    assert location.run(f"{PROD}_reconcile_day", partition_key=DAY.isoformat()).success
    assert location.evaluate(f"{PROD}_owed_days") == ([], f"{DAY} is already observed")
    assert location.evaluate(f"{PROD}_gate_is_current")[1] == "the check agrees with the ledger"
    assert location.instance.fetch_materializations(gate, limit=1).records
    assert not {key for key in location.instance.all_asset_keys() if key.path[0] == "org_v23"}
