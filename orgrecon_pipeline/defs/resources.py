"""The resource of a component: what its assets, jobs and sensors work with."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg

from orgrecon_pipeline.config.mapping_file import load_mapping
from orgrecon_pipeline.config.settings import DEFAULT_OUTPUT_DIR
from orgrecon_pipeline.defs.dev_demo import demo_mapping, start_demo
from orgrecon_pipeline.defs.names import ComponentNames
from orgrecon_pipeline.domain.errors import ConfigurationError
from orgrecon_pipeline.domain.mapping.model import MappingConfig
from orgrecon_pipeline.ledger.connection.retry import RetryBudget, retry_budget
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline.ledger.open import open_ledger
from orgrecon_pipeline.notify.notifier import URLS_VARIABLE, Notifier
from orgrecon_pipeline.operations.clock import SIMULATED_NOW_VARIABLE, Clock, read_clock
from orgrecon_pipeline.operations.context import SOURCE_VARIABLE, TARGET_VARIABLE, Context
from orgrecon_pipeline.operations.own_ledger import require_unambiguous

LEDGER_VARIABLE = "ORGRECON_LEDGER_URL"


class OrgreconResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Mapping, databases, ledger, output directory, clock and notification channels of one component.

    Fields that end in ``_env`` name environment variables, which are read when they are needed: the UI shows their
    names, and a variable that is missing fails only what needs it.

    Args:
        ledger_url: The ledger if the variable is not set; it must not contain a password.
        simulated_now_file: A file with an ISO 8601 UTC timestamp that is used as the current time. It affects only
            databases that are marked as simulated.
        demo_directory: Compare an embedded demo company in this directory; it is started on first use.
    """

    mapping_file: str | None = None
    environment: str | None = None
    output_dir: str = DEFAULT_OUTPUT_DIR
    ledger_env: str = LEDGER_VARIABLE
    ledger_url: str | None = None
    source_env: str = SOURCE_VARIABLE
    target_env: str = TARGET_VARIABLE
    notify_env: str = URLS_VARIABLE
    report_base_url: str = ""
    simulated_now_file: str | None = None
    demo_directory: str | None = None

    def mapping(self) -> MappingConfig:
        """Return the mapping."""
        return demo_mapping() if self.demo_directory else load_mapping(self.mapping_file, {})

    def open_ledger(self) -> Ledger:
        """Return the ledger, opened for the identity; create or migrate its tables first if necessary.

        Raises:
            ConfigurationError: if its variable is not set, or the ledger cannot be used.
            LedgerUnavailable: if the ledger does not answer.
            UsageError: if it is not clear which of its identities is meant.
        """
        mapping = self.mapping()
        url = os.environ.get(self.ledger_env) or self.ledger_url
        if not url:
            raise ConfigurationError(
                f"{self.ledger_env} is not set: set it to the URL of the ledger, such as "
                "postgresql://user:password@host:5432/database.")
        ledger = open_ledger(url, mapping.identity(self.environment or ""))
        require_unambiguous(ledger, mapping, environment_named=self.environment is not None)
        return ledger

    def clock(self) -> Clock:
        """Return the clock of this machine, or the injected one."""
        return read_clock({SIMULATED_NOW_VARIABLE: self.simulated_now_file or ""})

    def notifier(self) -> Notifier:
        """Return the notification channels."""
        return Notifier.from_environ(os.environ, self.notify_env)

    def open(self, warn: Callable[[str], object] = lambda line: None) -> Context:
        """Return the context of an operation; ``warn`` receives the notice of a demo."""
        mapping, ledger, output_dir = self.mapping(), self.open_ledger(), Path(self.output_dir)
        environ = dict(os.environ)
        if self.demo_directory:
            environ[self.source_env] = start_demo(Path(self.demo_directory), mapping, ledger, output_dir, warn)
        return Context(mapping, ledger, output_dir, self.clock(), environ, self.source_env, self.target_env)

    def open_in_run(self, log: dg.DagsterLogManager) -> Context:
        """Return the context of a step. Its calls to a ledger that does not answer are retried.

        All calls together may wait for ``scan.deadline_seconds``.
        """
        with retry_budget(RetryBudget(self.mapping().scan.deadline_seconds, log.warning)):
            return self.open(warn=log.warning)


def resource_of(context: Any, names: ComponentNames) -> OrgreconResource:
    """Return the component's resource from the context of a run, schedule or sensor that requires it."""
    resource: OrgreconResource = getattr(context.resources, names.resource)
    return resource
