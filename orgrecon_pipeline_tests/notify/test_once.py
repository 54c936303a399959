"""Who was told what is a fact of the ledger: everything once, to everybody, whoever runs, fails, or dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, timezone
from pathlib import Path

import pytest

from orgrecon_pipeline.config.settings import Settings, read_settings
from orgrecon_pipeline.domain.errors import EvidenceNotKept
from orgrecon_pipeline.domain.evidence import Observation
from orgrecon_pipeline.ledger.open import open_ledger
from orgrecon_pipeline.notify.dispatch import remember, tell
from orgrecon_pipeline.notify.notifier import Notifier
from orgrecon_pipeline.notify.run_changes import told
from orgrecon_pipeline.operations.open_context import open_work
from orgrecon_pipeline.report.render import render
from orgrecon_pipeline_tests.support.notify.webhook import Webhook, listening
from orgrecon_pipeline_tests.support.report.cases import DAY, History, Provenance, Verdict, clean_week, observation

CANARY = "C4n4ryT0k3n"
OPEN = f"Org Model v2.3: GATE OPEN as of {DAY}"
FAILED = [f"Org Model v2.3: {DAY} is FAIL", f"Org Model v2.3: GATE CLOSED as of {DAY}"]


@dataclass
class Host:
    """One machine with a ledger and a clock, whose channel is a webhook."""

    place: Path
    urls: str
    said: list[str] = field(default_factory=list)
    ledger_url: str = ""

    @property
    def settings(self) -> Settings:
        return read_settings({
            "ORGRECON_LEDGER_URL": self.ledger_url or f"sqlite:///{self.place / 'ledger.db'}",
            "ORGRECON_OUTPUT_DIR": str(self.place / "reports"), "ORGRECON_NOTIFY_URLS": self.urls,
            "ORGRECON_SIMULATED_NOW_FILE": str(self.place / "now"), "ORGRECON_REPORT_BASE_URL": "https://example.com/r/",
        })

    def at(self, day: date, hour: int = 12) -> None:
        """Set the clock."""
        (self.place / "now").write_text(datetime.combine(day, time(hour), timezone.utc).isoformat())

    def keep(self, seen: Observation) -> None:
        """Keep an observation without telling anybody."""
        open_ledger(self.settings.ledger_url).append(seen, (), (), ())

    def run(self, seen: Observation) -> None:
        """What `orgrecon report` does."""
        self.at(seen.day)
        with told(self.settings, seen.day, self.said.append):
            self.keep(seen)

    def week(self, until: int = 7) -> None:
        """The first clean days of the week, each one a run."""
        for _, [seen] in sorted(clean_week().by_day.items())[:until]:
            self.run(seen)

    def tell(self) -> list[str]:
        """What a sensor does."""
        return tell(open_work(self.settings), Notifier.from_environ(self.settings.environ))


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    with listening() as server:
        yield server


@pytest.fixture
def host(tmp_path: Path, webhook: Webhook) -> Host:
    made = Host(tmp_path, webhook.url(CANARY))
    made.at(DAY)
    return made


def test_a_run_tells_what_it_changed_and_another_one_nothing(host: Host, webhook: Webhook) -> None:
    host.week()
    assert webhook.titles == [OPEN]
    assert webhook.got[0]["message"].endswith(f"Report: https://example.com/r/{DAY}.md")
    host.run(observation(hour=9))
    assert len(webhook.got) == 1
    for hour in (10, 11):
        host.run(observation(verdict=Verdict.FAIL, hour=hour))
    assert webhook.titles[1:] == FAILED
    host.run(observation(hour=12))
    host.run(observation(verdict=Verdict.FAIL, hour=13))
    assert webhook.titles[3:] == [OPEN, *FAILED], "healed and broken again is news again"
    assert host.said == []


def test_a_sensor_beside_the_runs_tells_nobody_twice_and_what_they_did_not_see(host: Host, webhook: Webhook) -> None:
    for _, [seen] in sorted(clean_week().by_day.items()):
        host.run(seen)
        assert host.tell() == []
    assert webhook.titles == [OPEN]
    # Evidence from elsewhere: an import, or a run of the daemon.
    host.keep(observation(verdict=Verdict.FAIL, hour=9))
    assert host.tell() == host.tell() == []
    assert webhook.titles[1:] == FAILED
    host.run(observation(verdict=Verdict.FAIL, hour=10))
    assert len(webhook.got) == 3


def test_a_sensor_tells_of_a_gate_that_only_grew_old(host: Host, webhook: Webhook) -> None:
    host.week()
    host.at(DAY + timedelta(days=1))
    assert host.tell() == []
    assert len(webhook.got) == 1
    host.at(DAY + timedelta(days=2))
    assert host.tell() == host.tell() == []
    assert webhook.titles[1:] == [f"Org Model v2.3: GATE CLOSED as of {DAY + timedelta(days=2)}"]
    host.run(observation(DAY + timedelta(days=2)))
    assert len(webhook.got) == 2, "it is as closed as it was"


def test_a_hole_that_no_sensor_saw_is_told_by_the_next_run(host: Host, webhook: Webhook) -> None:
    host.week()
    after_the_hole = DAY + timedelta(days=2)
    host.run(observation(after_the_hole))
    assert webhook.titles[1:] == [f"Org Model v2.3: GATE CLOSED as of {after_the_hole}"]
    assert "MISSING" in webhook.got[1]["message"]


def test_what_a_channel_does_not_take_is_owed_to_it_alone(host: Host, webhook: Webhook) -> None:
    with listening() as broken:
        host.urls += f" {broken.url()}"
        host.week(6)
        broken.status = 500
        host.run(observation())
        assert len(host.said) == 1
        assert "channel 2 (json)" in host.said[0]
        assert "sent again" in host.said[0]
        assert CANARY not in host.said[0]
        assert len(host.tell()) == 1, "it still does not take it"
        broken.status = 200
        host.run(observation(hour=9))
        assert host.tell() == []
        assert broken.titles == [OPEN] * 3
        assert webhook.titles == [OPEN]


def test_news_that_is_over_before_it_could_be_told_is_not_told(host: Host, webhook: Webhook) -> None:
    host.week()
    webhook.status = 500
    host.run(observation(verdict=Verdict.FAIL, hour=9))
    webhook.status = 200
    webhook.got.clear()
    host.run(observation(hour=10))
    assert webhook.titles == [], "the gate is open, which is what was told last"


KILLED = """
import os, signal, sys
from pathlib import Path
from orgrecon_pipeline_tests.notify.test_once import Host, Verdict, observation, told, DAY
host = Host(Path(sys.argv[1]), sys.argv[2])
host.at(DAY)
with told(host.settings, DAY, print):
    host.keep(observation(verdict=Verdict.FAIL, hour=9))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_run_that_was_killed_before_it_could_tell_is_told_by_the_next_one(host: Host, webhook: Webhook) -> None:
    host.week()
    root = Path(__file__).parents[2]
    killed = subprocess.run([sys.executable, "-c", KILLED, str(host.place), host.urls], check=False,
                            env={**os.environ, "PYTHONPATH": str(root)})
    assert killed.returncode == -signal.SIGKILL
    assert webhook.titles == [OPEN]
    host.run(observation(DAY + timedelta(days=1)))
    assert webhook.titles[1:] == [FAILED[0], f"Org Model v2.3: GATE CLOSED as of {DAY + timedelta(days=1)}"]


def test_a_new_channel_is_told_how_things_stand_and_of_no_old_story(host: Host, webhook: Webhook) -> None:
    history = History([*(observation(DAY - timedelta(days=n)) for n in (0, 3)),
                       *(observation(DAY - timedelta(days=n), Verdict.FAIL) for n in (1, 2, 4))])
    for [seen] in history.by_day.values():
        host.keep(seen)
    assert host.tell() == []
    assert webhook.titles == [f"Org Model v2.3: {DAY - timedelta(days=1)} is FAIL"]


def test_many_that_look_at_once_tell_once(
    host: Host, webhook: Webhook, new_database: Callable[..., str]
) -> None:
    for url in (host.ledger_url, new_database()):
        host.ledger_url = url
        webhook.got.clear()
        for [seen] in clean_week().by_day.values():
            host.keep(seen)
        lines: list[list[str]] = []
        together = threading.Barrier(4)

        def look(lines: list[list[str]] = lines, together: threading.Barrier = together) -> None:
            together.wait()
            lines.append(host.tell())

        threads = [threading.Thread(target=look) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert lines == [[]] * 4
        assert webhook.titles == [OPEN]


def test_a_fresh_checkout_knows_from_its_trail_what_was_told(host: Host, webhook: Webhook) -> None:
    reports = host.settings.output_dir
    reports.mkdir()
    history = clean_week(Provenance.BASELINE, 8)
    for day in set(history.by_day) - {DAY}:
        (reports / f"{day}.md").write_text(render(history.record(day)), encoding="utf-8", newline="")
    with told(host.settings, DAY, host.said.append):
        for [seen] in history.by_day.values():
            host.keep(seen)
    assert webhook.got == []


def test_evidence_that_was_kept_by_a_run_that_failed_is_told(host: Host, webhook: Webhook) -> None:
    with pytest.raises(EvidenceNotKept), told(host.settings, DAY, host.said.append):  # noqa: PT012
        host.keep(observation(verdict=Verdict.FAIL))
        raise EvidenceNotKept("the report was not written")
    assert webhook.titles == FAILED[:1]


def test_an_old_day_is_told_when_it_is_the_one_that_was_run(host: Host, webhook: Webhook) -> None:
    old = DAY - timedelta(days=40)
    with told(host.settings, old, host.said.append):
        host.keep(observation(old, Verdict.FAIL, Provenance.RESTORED))
    assert webhook.titles == [f"Org Model v2.3: {old} is FAIL"]


def test_without_channels_nothing_is_read_and_a_ledger_that_fails_is_only_a_line(
    host: Host, webhook: Webhook
) -> None:
    host.ledger_url, urls, host.urls = f"postgresql://u:{CANARY}@127.0.0.1:1/x", host.urls, ""
    with told(host.settings, DAY, host.said.append):
        pass
    elsewhere = read_settings({"ORGRECON_LEDGER_URL": f"sqlite:///{host.place / 'other.db'}"})
    remember(open_work(elsewhere), Notifier(""), (DAY,))
    assert open_work(elsewhere).ledger.last_notified() == {}
    assert host.said == []
    host.urls = urls
    with told(host.settings, DAY, host.said.append):
        pass
    assert host.said == [
        "nobody is notified: the evidence could not be read, or what is told not be kept (ConfigurationError)."]
    assert webhook.got == []
