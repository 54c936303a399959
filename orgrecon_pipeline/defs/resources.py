"""Resources that the assets, jobs and sensors use, configured from the environment and replaced in tests."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from orgrecon_pipeline.config.mapping_file import load_mapping
from orgrecon_pipeline.config.settings import DEFAULT_LEDGER_URL, DEFAULT_OUTPUT_DIR
from orgrecon_pipeline.defs.dev_demo import demo_mapping, start_demo
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline.ledger.open import open_ledger
from orgrecon_pipeline.notify.dispatch import send_pending
from orgrecon_pipeline.notify.events import Event
from orgrecon_pipeline.notify.notifier import Notifier
from orgrecon_pipeline.operations.clock import SIMULATED_NOW_VARIABLE, Clock, read_clock
from orgrecon_pipeline.operations.context import SOURCE_VARIABLE, TARGET_VARIABLE, Context

#: Keys of the resources that :func:`open_context` needs.
CONTEXT_RESOURCES = {"source", "ledger", "audit_directory", "clock"}


class SourceResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Databases to compare, and the mapping file. Pass the URLs as ``EnvVar``, so that the UI shows only its name.

    If ``demo_directory`` is set, an embedded demo company in it is compared instead; it is started on first use.
    """

    database_url: str | None = Field(default=None, repr=False)
    target_database_url: str | None = Field(default=None, repr=False)
    mapping_file: str | None = None
    demo_directory: str | None = None


class LedgerResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The ledger: the database that stores the evidence."""

    url: str = Field(default=DEFAULT_LEDGER_URL, repr=False)

    def open(self) -> Ledger:
        """Return the ledger; create or migrate its tables first if necessary."""
        return open_ledger(self.url)


class OutputDirectoryResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The output directory, which holds the trail of reports."""

    path: str = DEFAULT_OUTPUT_DIR


class ClockResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The clock of this machine, or an injected one.

    ``simulated_now_file`` names a file with an ISO 8601 UTC timestamp that is used as the current time. It affects
    only databases that are marked as simulated.
    """

    simulated_now_file: str | None = None

    def open(self) -> Clock:
        """Return the clock."""
        return read_clock({SIMULATED_NOW_VARIABLE: self.simulated_now_file or ""})


class NotifierResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Notification channels. A failed delivery is logged; it never fails the run."""

    urls: str = Field(default="", repr=False)
    report_base_url: str = ""

    def notify_changes(self, context: Context) -> list[str]:
        """Notify each channel of the changes since its last notification; see :func:`send_pending`."""
        return send_pending(context, Notifier(self.urls), link_base=self.report_base_url)

    def send(self, event: Event) -> list[str]:
        """Send an event to every channel; return one sanitised line for each channel that failed."""
        return Notifier(self.urls).send([event])


def open_context(resources: Any, warn: Callable[[str], object] = lambda line: None) -> Context:
    """Return the context of an operation from :data:`CONTEXT_RESOURCES`; ``warn`` receives the notice of a demo."""
    source: SourceResource = resources.source
    urls = {SOURCE_VARIABLE: source.database_url, TARGET_VARIABLE: source.target_database_url}
    ledger, output_dir = resources.ledger.open(), Path(resources.audit_directory.path)
    if source.demo_directory:
        mapping = demo_mapping()
        urls[SOURCE_VARIABLE] = start_demo(Path(source.demo_directory), mapping, ledger, output_dir, warn)
    else:
        mapping = load_mapping(source.mapping_file, {})
    environ = {**os.environ, **{variable: url for variable, url in urls.items() if url}}
    return Context(mapping, ledger, output_dir, resources.clock.open(), environ)
