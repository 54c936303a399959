"""Every channel gets each change once, whichever process notices it, fails or is killed."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, timezone
from pathlib import Path

import pytest

from orgrecon_pipeline.config.mapping_file import default_mapping
from orgrecon_pipeline.config.settings import Settings, read_settings
from orgrecon_pipeline.domain.errors import EvidenceNotStored
from orgrecon_pipeline.domain.evidence import Observation
from orgrecon_pipeline.notify.dispatch import notify_of_run, record_current_state, send_pending
from orgrecon_pipeline.notify.notifier import Notifier
from orgrecon_pipeline.operations.context import Context
from orgrecon_pipeline.report.render import render
from orgrecon_pipeline_tests.support.default_identity import open_ledger
from orgrecon_pipeline_tests.support.notify.webhook import Webhook, running_webhook
from orgrecon_pipeline_tests.support.operations.concurrency import at_the_same_time
from orgrecon_pipeline_tests.support.python_process import run_python
from orgrecon_pipeline_tests.support.report.cases import DAY, History, Provenance, Verdict, clean_week, observation

CANARY = "C4n4ryT0k3n"
OPEN = f"Org Model v2.3: GATE OPEN as of {DAY}"
FAILED = [f"Org Model v2.3: {DAY} is FAIL", f"Org Model v2.3: GATE CLOSED as of {DAY}"]


@dataclass
class Host:
    """A machine with a ledger, a clock, and a webhook as its channel."""

    directory: Path
    urls: str
    lines: list[str] = field(default_factory=list)
    ledger_url: str = ""
    also: str = ""

    @property
    def settings(self) -> Settings:
        return read_settings({
            "ORGRECON_LEDGER_URL": self.ledger_url or f"sqlite:///{self.directory / 'ledger.db'}",
            "ORGRECON_OUTPUT_DIR": str(self.directory / "reports"), "ORGRECON_NOTIFY_URLS": self.urls,
            "ORGRECON_NOTIFY_ALSO": self.also,
            "ORGRECON_SIMULATED_NOW_FILE": str(self.directory / "now"), "ORGRECON_REPORT_BASE_URL": "https://example.com/r/",
        })

    def at(self, day: date, hour: int = 12) -> None:
        """Set the clock."""
        (self.directory / "now").write_text(datetime.combine(day, time(hour), timezone.utc).isoformat())

    def append(self, made: Observation) -> None:
        """Store an observation of the packaged mapping without notifying."""
        made = made.model_copy(update={"mapping_digest": default_mapping().digest})
        open_ledger(self.settings.ledger_url).append(made, (), (), ())

    def run(self, made: Observation) -> None:
        """Store an observation and notify, as ``orgrecon report`` does."""
        self.at(made.day)
        with notify_of_run(self.settings, made.day, self.lines.append):
            self.append(made)

    def run_week(self, days: int = 7) -> None:
        """Run the first days of a clean week."""
        for _, [made] in sorted(clean_week().by_day.items())[:days]:
            self.run(made)

    def run_sensor(self) -> list[str]:
        """Notify, as the sensor does."""
        return send_pending(Context.from_settings(self.settings), Notifier.from_environ(self.settings.environ))


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    with running_webhook() as server:
        yield server


@pytest.fixture
def host(tmp_path: Path, webhook: Webhook) -> Host:
    host = Host(tmp_path, webhook.url(CANARY))
    host.at(DAY)
    return host


def test_run_notifies_of_its_changes_once(host: Host, webhook: Webhook) -> None:
    host.run_week()
    assert webhook.titles == [OPEN]
    assert f"Report: https://example.com/r/{DAY}.md\norg-v23, ledger " in webhook.messages[0]["message"]
    host.run(observation(hour=9))
    assert len(webhook.messages) == 1
    for hour in (10, 11):
        host.run(observation(verdict=Verdict.FAIL, hour=hour))
    assert webhook.titles[1:] == FAILED
    host.run(observation(hour=12))
    host.run(observation(verdict=Verdict.FAIL, hour=13))
    assert webhook.titles[3:] == [OPEN, *FAILED], "a day that fails again is sent again"
    assert host.lines == []


def test_sensor_notifies_only_of_changes_that_no_run_has_sent(host: Host, webhook: Webhook) -> None:
    for _, [made] in sorted(clean_week().by_day.items()):
        host.run(made)
        assert host.run_sensor() == []
    assert webhook.titles == [OPEN]
    # Evidence that no run notified of: from an import, or from a run of the daemon.
    host.append(observation(verdict=Verdict.FAIL, hour=9))
    assert host.run_sensor() == host.run_sensor() == []
    assert webhook.titles[1:] == FAILED
    host.run(observation(verdict=Verdict.FAIL, hour=10))
    assert len(webhook.messages) == 3


def test_sensor_notifies_of_a_gate_that_closes_because_its_evidence_is_too_old(host: Host, webhook: Webhook) -> None:
    host.run_week()
    host.at(DAY + timedelta(days=1))
    assert host.run_sensor() == []
    assert len(webhook.messages) == 1
    host.at(DAY + timedelta(days=2))
    assert host.run_sensor() == host.run_sensor() == []
    assert webhook.titles[1:] == [f"Org Model v2.3: GATE CLOSED as of {DAY + timedelta(days=2)}"]
    host.run(observation(DAY + timedelta(days=2)))
    assert len(webhook.messages) == 2, "the gate was closed before"


def test_next_run_notifies_of_a_gate_that_closed_over_a_missing_day(host: Host, webhook: Webhook) -> None:
    host.run_week()
    after_missing = DAY + timedelta(days=2)
    host.run(observation(after_missing))
    assert webhook.titles[1:] == [f"Org Model v2.3: GATE CLOSED as of {after_missing}"]
    assert "MISSING" in webhook.messages[1]["message"]


def test_change_stays_pending_only_for_the_channel_that_refused_it(host: Host, webhook: Webhook) -> None:
    with running_webhook() as broken:
        host.urls += f" {broken.url()}"
        host.run_week(6)
        broken.status = 500
        host.run(observation())
        assert len(host.lines) == 1
        assert "channel 2 (json)" in host.lines[0]
        assert "sends it again" in host.lines[0]
        assert CANARY not in host.lines[0]
        assert len(host.run_sensor()) == 1, "the channel still refuses"
        broken.status = 200
        host.run(observation(hour=9))
        assert host.run_sensor() == []
        assert broken.titles == [OPEN] * 3
        assert webhook.titles == [OPEN]


def test_change_that_is_reverted_before_it_is_sent_is_never_sent(host: Host, webhook: Webhook) -> None:
    host.run_week()
    webhook.status = 500
    host.run(observation(verdict=Verdict.FAIL, hour=9))
    webhook.status = 200
    webhook.messages.clear()
    host.run(observation(hour=10))
    assert webhook.titles == [], "the gate is open, as the channel knows"


KILLED = """
import os, signal, sys
from pathlib import Path
from orgrecon_pipeline_tests.notify.test_dispatch import Host, Verdict, observation, notify_of_run, DAY
host = Host(Path(sys.argv[1]), sys.argv[2])
host.at(DAY)
with notify_of_run(host.settings, DAY, print):
    host.append(observation(verdict=Verdict.FAIL, hour=9))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_next_run_notifies_of_the_changes_of_a_killed_run(host: Host, webhook: Webhook) -> None:
    host.run_week()
    killed = run_python(KILLED, str(host.directory), host.urls)
    assert killed.returncode == -signal.SIGKILL
    assert webhook.titles == [OPEN]
    host.run(observation(DAY + timedelta(days=1)))
    assert webhook.titles[1:] == [FAILED[0], f"Org Model v2.3: GATE CLOSED as of {DAY + timedelta(days=1)}"]


def test_new_channel_gets_the_current_state_and_no_days_before_yesterday(host: Host, webhook: Webhook) -> None:
    history = History([*(observation(DAY - timedelta(days=n)) for n in (0, 3)),
                       *(observation(DAY - timedelta(days=n), Verdict.FAIL) for n in (1, 2, 4))])
    for [made] in history.by_day.values():
        host.append(made)
    assert host.run_sensor() == []
    assert webhook.titles == [f"Org Model v2.3: {DAY - timedelta(days=1)} is FAIL"]


def test_concurrent_sensors_notify_once(host: Host, webhook: Webhook, new_database: Callable[..., str]) -> None:
    for url in (host.ledger_url, new_database()):
        host.ledger_url = url
        webhook.messages.clear()
        for [made] in clean_week().by_day.values():
            host.append(made)
        assert at_the_same_time(4, host.run_sensor) == [[]] * 4
        assert webhook.titles == [OPEN]


def test_run_with_a_new_ledger_treats_the_reports_of_the_trail_as_sent(host: Host, webhook: Webhook) -> None:
    reports = host.settings.output_dir
    reports.mkdir()
    history = clean_week(Provenance.BASELINE, 8)
    for day in set(history.by_day) - {DAY}:
        (reports / f"{day}.md").write_text(render(history.record(day)), encoding="utf-8", newline="")
    with notify_of_run(host.settings, DAY, host.lines.append):
        for [made] in history.by_day.values():
            host.append(made)
    assert webhook.messages == []


def test_failed_run_notifies_of_the_evidence_it_stored(host: Host, webhook: Webhook) -> None:
    with pytest.raises(EvidenceNotStored), notify_of_run(host.settings, DAY, host.lines.append):  # noqa: PT012
        host.append(observation(verdict=Verdict.FAIL))
        raise EvidenceNotStored("the report was not written")
    assert webhook.titles == FAILED[:1]


def test_run_of_an_old_day_notifies_of_that_day(host: Host, webhook: Webhook) -> None:
    old = DAY - timedelta(days=40)
    with notify_of_run(host.settings, old, host.lines.append):
        host.append(observation(old, Verdict.FAIL, Provenance.RESTORED))
    assert webhook.titles == [f"Org Model v2.3: {old} is FAIL"]


def test_unreachable_ledger_is_one_line_and_is_not_read_without_channels(host: Host, webhook: Webhook) -> None:
    host.ledger_url, urls, host.urls = f"postgresql://u:{CANARY}@127.0.0.1:1/x", host.urls, ""
    with notify_of_run(host.settings, DAY, host.lines.append):
        pass
    other = read_settings({"ORGRECON_LEDGER_URL": f"sqlite:///{host.directory / 'other.db'}"})
    record_current_state(Context.from_settings(other), Notifier(""), (DAY,))
    assert Context.from_settings(other).ledger.last_notified() == {}
    assert host.lines == []
    host.urls = urls
    with notify_of_run(host.settings, DAY, host.lines.append):
        pass
    assert host.lines == [
        "no notifications were sent: the ledger could not be read or written (LedgerUnavailable)."]
    assert webhook.messages == []
