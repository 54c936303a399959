"""A ledger and a trail with eight days of evidence about three tenants, and a real exporter over it."""

from __future__ import annotations

import re
import signal
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, time, timedelta, timezone
from pathlib import Path

from orgrecon_pipeline.config.mapping_file import default_mapping
from orgrecon_pipeline.domain.coverage import CoverageChange, CoverageEvent, CoverageSubject
from orgrecon_pipeline.domain.evidence import TenantRow, Verdict
from orgrecon_pipeline.domain.identity import Identity
from orgrecon_pipeline.domain.reasons import drift, zero_drift
from orgrecon_pipeline.ledger.open import open_ledger
from orgrecon_pipeline.operations.context import Context
from orgrecon_pipeline.operations.trail.publish import publish
from orgrecon_pipeline_tests.support.environ import inherited_environ
from orgrecon_pipeline_tests.support.python_process import ORGRECON, start_python
from orgrecon_pipeline_tests.support.report.cases import observation, totals

#: The last name has to be quoted in a URL, in HTML and in a shell.
TENANTS = ("acme", "globex", 'a/b & <i>"$(exit 3)" ü')
_DAYS = 8


@dataclass(frozen=True)
class GateWorld:
    """Folder with the evidence of an environment of the default migration."""

    folder: Path
    environment: str = "prod"

    @property
    def reports(self) -> Path:
        """Directory of the reports."""
        return self.folder / "reports"

    @property
    def environ(self) -> dict[str, str]:
        """Environment variables of a process that asks the ledger."""
        return {**inherited_environ(), "ORGRECON_LEDGER_URL": f"sqlite:///{self.folder / 'ledger.db'}",
                "ORGRECON_OUTPUT_DIR": str(self.reports), "ORGRECON_ENVIRONMENT": self.environment}

    def store(self, drifting: Collection[str] = ()) -> GateWorld:
        """Store a clean day for each of the last eight, except that some tenants drift on the last one."""
        mapping, today = default_mapping(), datetime.now(timezone.utc).date()
        ledger = open_ledger(self.environ["ORGRECON_LEDGER_URL"], Identity(environment=self.environment))
        context = Context(mapping, ledger, self.reports)
        for back in range(_DAYS - 1, -1, -1):
            missing = drifting if back == 0 else ()
            rows = [TenantRow(tenant=tenant, entity="org_units", source_rows=8, target_rows=8, transient=0,
                              unexpected=0, mismatched=0, duplicate=0, missing=int(tenant in missing))
                    for tenant in TENANTS]
            keys, day = len(missing), today - timedelta(days=back)
            item = observation(
                day, Verdict.FAIL if keys else Verdict.PASS, tenants=len(TENANTS), drifting=keys,
                entities={"org_units": totals(24, missing=keys), "org_unit_memberships": totals(480)},
                reason=drift(keys, keys, len(TENANTS)) if keys else zero_drift(len(TENANTS), 1008),
                mapping_digest=mapping.digest)
            # Not in the future, whatever the time of day is.
            item = item.model_copy(update={"observed_at": datetime.combine(day, time(0, 0, 1), timezone.utc)})
            appeared = [CoverageEvent(CoverageSubject.TENANT, tenant, CoverageChange.APPEARED) for tenant in TENANTS]
            ledger.append(item, rows, (), appeared if back == _DAYS - 1 else ())
            publish(context, day)
        return self

    @contextmanager
    def exporter(self, *options: str, **environ: str) -> Iterator[str]:
        """Run ``orgrecon exporter`` on a free port of this machine; yield the address of its gate."""
        process = start_python(
            ORGRECON, "exporter", "--port", "0", "--host", "127.0.0.1", *options, cwd=self.folder,
            env={**self.environ, **environ})
        with process:
            assert process.stderr is not None
            line = process.stderr.readline()
            address = re.search(r"http://[\d.:]+", line)
            assert address, line + process.stderr.read()
            try:
                yield f"{address[0]}/gate"
            finally:
                process.send_signal(signal.SIGTERM)
                process.communicate(timeout=60)
