"""The component: the fields of its ``defs.yaml``, and the definitions that it builds from them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from importlib.resources import files
from typing import TypeVar

import dagster as dg
from dagster.components import (
    Component,
    ComponentLoadContext,
    ComponentTypeSpec,
    Model,
    Resolvable,
    Scaffolder,
    ScaffoldRequest,
    scaffold_component,
    scaffold_with,
)
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from orgrecon_pipeline.config.mapping_file import load_mapping
from orgrecon_pipeline.config.settings import ENVIRONMENT_VARIABLE, read_settings
from orgrecon_pipeline.defs.assemble import Parts, assemble
from orgrecon_pipeline.defs.assets.day import Labels
from orgrecon_pipeline.defs.automation.daily import Automation
from orgrecon_pipeline.defs.names import ComponentNames, identifier
from orgrecon_pipeline.defs.resources import LEDGER_VARIABLE, OrgreconResource
from orgrecon_pipeline.domain.days import parse_day
from orgrecon_pipeline.domain.errors import OrgreconError
from orgrecon_pipeline.domain.identity import Identity, validate_name
from orgrecon_pipeline.domain.mapping.model import MappingConfig
from orgrecon_pipeline.notify.notifier import URLS_VARIABLE
from orgrecon_pipeline.operations.clock import SIMULATED_NOW_VARIABLE
from orgrecon_pipeline.operations.context import SOURCE_VARIABLE, TARGET_VARIABLE
from orgrecon_pipeline.operations.report_request import DEFAULT_START

Value = TypeVar("Value")

#: A part of an asset key, or a group.
KEY_PART = re.compile(r"[A-Za-z0-9_]+")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NOT_A_VARIABLE = "is not the name of an environment variable: write its name, and put the URL into it"
_NOT_A_KEY_PART = "is not a part of an asset key: use letters, digits and _"


class ScheduleFields(Resolvable, Model):
    """The schedule that observes today."""

    hour: int = 8
    enabled: bool = True


class SensorFields(Resolvable, Model):
    """The sensors that make up for missed days, keep the gate's check current and send notifications."""

    enabled: bool = True
    every_seconds: int = 60
    reobserve_hours: float | None = None


class DefsYamlScaffolder(Scaffolder):
    """Writes a ``defs.yaml`` whose comments name every field, and beside it a copy of the default mapping."""

    def scaffold(self, request: ScaffoldRequest) -> None:
        """Write the files. An existing mapping is kept."""
        if request.scaffold_format != "yaml":
            scaffold_component(request)
            return
        # Not named defs.yaml, because dg would take a file of that name for a component of this project.
        text = (files("orgrecon_pipeline.defs") / "templates" / "component.yaml.txt").read_text(encoding="utf-8")
        text = text.replace("TYPE_NAME", request.type_name)
        folder = request.target_path.parent if request.append else request.target_path
        if request.append:
            with request.target_path.open("a", encoding="utf-8") as file:
                file.write(f"---\n{text}")
        else:
            (folder / "defs.yaml").write_text(text, encoding="utf-8")
        mapping = folder / "orgrecon.yaml"
        if not mapping.exists():
            default = files("orgrecon_pipeline.config") / "default_mapping.yaml"
            mapping.write_text(default.read_text(encoding="utf-8"), encoding="utf-8")


@scaffold_with(DefsYamlScaffolder)
class OrgreconComponent(Component, Resolvable, Model):
    """Daily evidence that the target of a data migration contains what its source contains, and a gate for the cutover.

    Fields that end in ``_env`` name environment variables. docs/dagster.md describes every field.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    mapping: str | None = Field(default=None, description="The mapping file, relative to the folder of the defs.yaml")
    environment: str | None = Field(
        default=None, description="Name of the environment; by default that of ORGRECON_ENVIRONMENT")
    key_prefix: list[str] | None = Field(
        default=None, description="Prefix of all asset keys; by default the names of migration and environment")
    group: str | None = Field(default=None, description="Asset group; by default one per migration")
    owners: list[str] = Field(default_factory=list, description="E-mail addresses, or team:name")
    tags: dict[str, str] = Field(default_factory=dict, description="Tags of all assets")
    kinds: list[str] = Field(default_factory=list, description="One more kind of all assets")
    start_date: str = Field(default=DEFAULT_START.isoformat(), description="The first partition, as YYYY-MM-DD")
    schedule: ScheduleFields = Field(default=ScheduleFields(), description="When today is observed, in UTC")
    sensors: SensorFields = Field(default=SensorFields(), description="What the sensors do")
    source_env: str = Field(default=SOURCE_VARIABLE, description="Names the source's URL")
    target_env: str = Field(
        default=TARGET_VARIABLE, description="Names the target's URL, if it is another database")
    ledger_env: str = Field(default=LEDGER_VARIABLE, description="Names the ledger's URL")
    notify_env: str = Field(default=URLS_VARIABLE, description="Names the notification channels")
    report_base_url: str = Field(default="", description="URL of the reports, for notifications")
    output_dir: str | None = Field(
        default=None, description="The output directory, relative to the root of the project")
    upstream: dict[str, str] = Field(
        default_factory=dict, description="Keys of mapped tables that are assets already, by the table's name")

    # Not as types of the fields: Dagster validates those first, and shows the value, which may be a URL.
    @field_validator("source_env", "target_env", "ledger_env", "notify_env")
    @classmethod
    def _names_a_variable(cls, name: str) -> str:
        return _require(bool(_VARIABLE.fullmatch(name)), name, _NOT_A_VARIABLE)

    @field_validator("environment")
    @classmethod
    def _is_a_name(cls, name: str | None) -> str | None:
        return validate_name(name) if name else name

    @field_validator("key_prefix")
    @classmethod
    def _consists_of_key_parts(cls, parts: list[str] | None) -> list[str] | None:
        return _require(all(KEY_PART.fullmatch(part) for part in parts or ()), parts, _NOT_A_KEY_PART)

    @field_validator("group")
    @classmethod
    def _is_a_key_part(cls, group: str | None) -> str | None:
        return _require(group is None or bool(KEY_PART.fullmatch(group)), group, "is not a group: use letters, digits "
                        "and _")

    @field_validator("kinds")
    @classmethod
    def _is_one_kind(cls, kinds: list[str]) -> list[str]:
        return _require(
            len(kinds) <= 1, kinds, "names several: give one, because two of the three that Dagster shows are taken")

    @field_validator("start_date")
    @classmethod
    def _is_a_day(cls, day: str) -> str:
        try:
            return parse_day(day).isoformat()
        except OrgreconError as error:
            raise ValueError(str(error).rstrip(".")) from None

    @field_validator("schedule")
    @classmethod
    def _starts_early_enough(cls, schedule: ScheduleFields) -> ScheduleFields:
        return _require(0 <= schedule.hour <= 22, schedule, f"hour is {schedule.hour}: set it to 0 to 22 (UTC)")

    @field_validator("sensors")
    @classmethod
    def _are_evaluated_at_times(cls, sensors: SensorFields) -> SensorFields:
        seconds, hours = sensors.every_seconds, sensors.reobserve_hours
        _require(1 <= seconds <= 3600, sensors, f"every_seconds is {seconds}: set it to a number from 1 to 3600")
        return _require(hours is None or 0.25 <= hours <= 24, sensors,
                        f"reobserve_hours is {hours}: set it to a number from 0.25 to 24, or leave it out")

    @classmethod
    def get_spec(cls) -> ComponentTypeSpec:
        """Return what ``dg list components`` and the UI show."""
        return ComponentTypeSpec(tags=["postgres", "data-quality"],
                                 produces=["asset", "asset_check", "job", "schedule", "sensor", "resource"])

    @classmethod
    def load(cls, attributes: BaseModel | None, context: ComponentLoadContext) -> OrgreconComponent:
        """Load the component from the attributes of a ``defs.yaml``; name the field of the first invalid value."""
        try:
            return super().load(attributes, context)
        except ValidationError as invalid:
            first = invalid.errors(include_url=False)[0]
            field = ".".join(str(part) for part in first["loc"])
            raise dg.DagsterInvalidDefinitionError(
                f"{context.path}: {field}: {first['msg'].removeprefix('Value error, ')}.") from None

    def build_defs(self, context: ComponentLoadContext) -> dg.Definitions:
        """Return the definitions, for the environment of the process."""
        folder = context.path if context.path.is_dir() else context.path.parent
        mapping_file = str((folder / self.mapping).resolve()) if self.mapping else None
        try:
            mapping = load_mapping(mapping_file, {})
            identity = mapping.identity(self._environment(os.environ) or "")
            output = self.output_dir or f"docs/runbooks/{identity.slug}-reconciliation-reports"
            return assemble(self.parts(
                mapping, os.environ, mapping_file=mapping_file, output_dir=str(context.project_root / output)))
        except OrgreconError as error:
            raise dg.DagsterInvalidDefinitionError(f"{context.path}: {error}") from None

    def parts(self, mapping: MappingConfig, environ: Mapping[str, str], **resource: str | None) -> Parts:
        """Return what the definitions are made from; ``resource`` has more fields of the resource."""
        environment = self._environment(environ)
        identity = mapping.identity(environment or "")
        return Parts(
            names=ComponentNames(identity, tuple(self._prefix(identity))),
            mapping=mapping,
            resource=OrgreconResource(
                source_env=self.source_env, target_env=self.target_env, ledger_env=self.ledger_env,
                notify_env=self.notify_env, report_base_url=self.report_base_url, environment=environment,
                simulated_now_file=environ.get(SIMULATED_NOW_VARIABLE) or None, **resource),  # type: ignore[arg-type]
            labels=Labels(self.group or f"{identifier(identity.migration)}_reconciliation", self.owners, self.tags,
                          frozenset(self.kinds)),
            automation=Automation(
                schedule=self.schedule.enabled, hour=self.schedule.hour, sensors=self.sensors.enabled,
                every_seconds=self.sensors.every_seconds,
                reobserve=timedelta(hours=self.sensors.reobserve_hours) if self.sensors.reobserve_hours else None),
            first_day=parse_day(self.start_date),
            upstream={table: dg.AssetKey.from_user_string(key) for table, key in self.upstream.items()},
        )

    def _environment(self, environ: Mapping[str, str]) -> str | None:
        # None if it is not named, which is ambiguous in a ledger that holds several.
        if self.environment is not None:
            return self.environment
        return read_settings(environ).environment if ENVIRONMENT_VARIABLE in environ else None

    def _prefix(self, identity: Identity) -> Sequence[str]:
        if self.key_prefix is not None:
            return self.key_prefix
        return [identifier(name) for name in (identity.migration, identity.environment) if name]


def _require(valid: bool, value: Value, problem: str) -> Value:
    if not valid:
        raise ValueError(problem)
    return value
