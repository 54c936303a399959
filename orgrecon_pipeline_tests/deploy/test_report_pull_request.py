"""The rolling pull request with the reports that are not merged yet, on a real git remote with a stand-in for gh."""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

import pytest

from orgrecon_pipeline.domain.evidence import Provenance, Verdict
from orgrecon_pipeline.domain.gate.decision import decide_gate
from orgrecon_pipeline.domain.mapping.model import GatePolicy
from orgrecon_pipeline.report.render import render
from orgrecon_pipeline.report.verify import report_files
from orgrecon_pipeline.report.write import write_report
from orgrecon_pipeline_tests.support.default_identity import read_report, sync_trail, verify_trail
from orgrecon_pipeline_tests.support.deploy.report_repository import BRANCH, REPORTS, ReportRepository
from orgrecon_pipeline_tests.support.deploy.tools import installed
from orgrecon_pipeline_tests.support.python_process import write_orgrecon_program
from orgrecon_pipeline_tests.support.report.cases import History, observation
from orgrecon_pipeline_tests.support.report.signing_keys import signing_key

_NOW = datetime.now(timezone.utc).date()
DAYS = [_NOW - timedelta(days=back) for back in range(120, -1, -1)]
MONDAY, TUESDAY, WEDNESDAY = map(str, DAYS[:3])


@pytest.fixture
def repository(tmp_path: Path) -> ReportRepository:
    repository = ReportRepository.create(tmp_path)
    write_orgrecon_program(tmp_path / "bin/orgrecon")
    return repository


def trail(repository: ReportRepository, ref: str) -> dict[str, str]:
    """Return the state of each report on a branch by its day, as ``orgrecon verify`` shows it."""
    folder = repository.folder / "checked"
    folder.mkdir(exist_ok=True)
    for day in repository.days(ref):
        (folder / f"{day}.md").write_text(repository.git("show", f"{ref}:{REPORTS}/{day}.md") + "\n")
    verification = verify_trail(folder)
    assert verification.sound, verification.findings
    return {str(day): verification.state(day) for day in verification.files}


def test_new_report_opens_one_pull_request_with_one_commit(repository: ReportRepository) -> None:
    done = repository.workflow(MONDAY)
    assert done.returncode == 0, done.stderr
    assert repository.pull_requests() == ["OPEN"]
    assert repository.git("rev-list", "--count", f"main..{BRANCH}") == "1"
    assert repository.git("diff", "--name-only", f"main...{BRANCH}") == f"{REPORTS}/{MONDAY}.md"
    assert repository.git("for-each-ref", "--format=%(refname:short)").split() == ["main", BRANCH]


def test_next_day_is_added_to_the_open_pull_request(repository: ReportRepository) -> None:
    for day in (MONDAY, TUESDAY, WEDNESDAY):
        assert repository.workflow(day).returncode == 0
    assert repository.pull_requests() == ["OPEN"]
    assert repository.git("rev-list", "--count", f"main..{BRANCH}") == "1"
    assert trail(repository, BRANCH) == dict.fromkeys((MONDAY, TUESDAY, WEDNESDAY), "sound")


@pytest.mark.parametrize("how", ["merge", "squash"])
@pytest.mark.parametrize("deleted", [True, False])
def test_day_after_a_merge_opens_a_new_pull_request(how: str, deleted: bool, repository: ReportRepository) -> None:
    repository.workflow(MONDAY)
    assert repository.merge(how)  # type: ignore[arg-type]
    if deleted:
        repository.delete_branch()
    again = repository.workflow(MONDAY)
    assert "main already has every report: nothing to do" in again.stdout
    repository.workflow(TUESDAY)
    assert repository.pull_requests() == ["MERGED", "OPEN"]
    assert repository.git("diff", "--name-only", f"main...{BRANCH}") == f"{REPORTS}/{TUESDAY}.md"


def test_reports_that_a_run_wrote_are_copied_for_their_attestation(repository: ReportRepository) -> None:
    """Neither the reports of earlier runs nor those that somebody pushed to the branch."""
    written = repository.folder / "written"
    written.mkdir()

    def attested(day: str) -> dict[str, bytes]:
        assert repository.workflow(day, WRITTEN=str(written)).returncode == 0
        return {path.stem: path.read_bytes() for path in written.iterdir()}

    def published(day: str) -> bytes:
        return repository.git("show", f"{BRANCH}:{REPORTS}/{day}.md").encode() + b"\n"

    assert attested(TUESDAY) == {TUESDAY: published(TUESDAY)}
    assert attested(TUESDAY) == {}
    assert attested(WEDNESDAY) == {WEDNESDAY: published(WEDNESDAY)}
    assert set(attested(MONDAY)) == {MONDAY, TUESDAY, WEDNESDAY}, "the outdated reports are rendered again"


def signed_baselines(folder: Path, days: list[date]) -> dict[str, str]:
    """Return the content of the reports of these days, and of their signatures, by file name."""
    history = History([observation(day, provenance=Provenance.BASELINE) for day in days])
    for day in days:
        write_report(folder, history.record(day), signing_key().sign)
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_signatures_of_the_main_branch_and_of_the_unmerged_reports_are_kept(repository: ReportRepository) -> None:
    signed = signed_baselines(repository.folder / "signed", DAYS[:2])
    repository.commit({f"{REPORTS}/{name}": text for name, text in signed.items() if name.startswith(MONDAY)})
    assert repository.workflow(MONDAY).returncode == 0
    assert repository.pull_requests() == []
    repository.push_to_branch({f"{REPORTS}/{name}": text for name, text in signed.items()})
    assert repository.workflow(WEDNESDAY).returncode == 0
    assert {name: repository.git("show", f"{BRANCH}:{REPORTS}/{name}") + "\n" for name in signed} == signed
    assert trail(repository, BRANCH) == dict.fromkeys((MONDAY, TUESDAY, WEDNESDAY), "sound")


def test_second_run_of_the_day_does_nothing(repository: ReportRepository) -> None:
    repository.workflow(MONDAY)
    before = repository.git("for-each-ref")
    again = repository.workflow(MONDAY)
    assert (again.returncode, repository.pull_requests(), repository.git("for-each-ref")) == (0, ["OPEN"], before)
    assert "already have a pull request" in again.stdout


def test_closed_pull_request_is_not_opened_again_until_the_next_day_and_then_with_all_days(
    repository: ReportRepository
) -> None:
    repository.workflow(MONDAY)
    repository.close()
    assert repository.workflow(MONDAY).returncode == 0
    assert repository.pull_requests() == ["CLOSED"]
    repository.workflow(TUESDAY)
    assert repository.pull_requests() == ["CLOSED", "OPEN"]
    assert repository.days(BRANCH) == [MONDAY, TUESDAY]


def test_deleting_the_branch_drops_its_days(repository: ReportRepository) -> None:
    repository.workflow(MONDAY)
    repository.close()
    repository.delete_branch()
    repository.workflow(TUESDAY)
    assert repository.days(BRANCH) == [TUESDAY]


def test_main_branch_that_moved_gives_a_pull_request_without_conflict(repository: ReportRepository) -> None:
    repository.workflow(MONDAY)
    repository.commit({"code.py": "x = 1\n"})
    repository.workflow(TUESDAY)
    assert repository.git("diff", "--name-only", f"main..{BRANCH}").split() == [
        f"{REPORTS}/{MONDAY}.md", f"{REPORTS}/{TUESDAY}.md"]
    assert repository.merge("squash")


def test_live_report_of_the_main_branch_is_not_replaced_by_the_baseline_of_the_branch(
    repository: ReportRepository
) -> None:
    repository.workflow(MONDAY)
    repository.workflow(TUESDAY)
    monday = DAYS[0]
    live = render(History([observation(monday, Verdict.FAIL)]).record(monday))
    repository.update()
    repository.commit({f"{REPORTS}/{MONDAY}.md": live})
    assert not repository.merge()  # a conflict, until the next run
    done = repository.workflow(WEDNESDAY)
    assert done.returncode == 0, done.stderr
    assert repository.git("show", f"{BRANCH}:{REPORTS}/{MONDAY}.md") == live.strip()
    assert trail(repository, BRANCH) == dict.fromkeys((MONDAY, TUESDAY, WEDNESDAY), "sound")
    assert repository.merge()


def test_outdated_reports_of_the_main_branch_are_rendered_again(repository: ReportRepository) -> None:
    monday, tuesday = DAYS[:2]
    repository.commit({
        f"{REPORTS}/{day}.md": render(History([observation(day, provenance=Provenance.BASELINE)]).record(day))
        for day in (monday, tuesday)})
    assert trail(repository, "main") == {MONDAY: "sound", TUESDAY: "outdated"}
    assert repository.workflow(WEDNESDAY).returncode == 0
    assert trail(repository, BRANCH) == dict.fromkeys((MONDAY, TUESDAY, WEDNESDAY), "sound")


@pytest.mark.parametrize("days", [(MONDAY, MONDAY), (MONDAY, TUESDAY)], ids=["one day", "two days"])
def test_two_runs_at_the_same_time_lose_no_day(days: tuple[str, str], repository: ReportRepository) -> None:
    processes = [repository.start(day) for day in days]
    results = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], results
    assert repository.pull_requests() == ["OPEN"]
    assert repository.days(BRANCH) == sorted(set(days))


@pytest.mark.parametrize("code", [1, 2, 3, 4])
def test_failed_report_exits_with_its_code_and_pushes_nothing(repository: ReportRepository, code: int) -> None:
    repository.add_program("orgrecon", f"#!/bin/sh\necho half > \"$6/{MONDAY}.md\"\nexit {code}\n")
    done = repository.workflow(MONDAY)
    assert done.returncode == code
    assert repository.pull_requests() == []
    assert repository.git("for-each-ref", "--format=%(refname:short)") == "main"


def test_pushed_branch_without_pull_request_gets_one_on_the_next_run(repository: ReportRepository) -> None:
    assert repository.workflow(MONDAY, GH_FAILS="create").returncode != 0
    assert repository.pull_requests() == []
    head = repository.head
    assert repository.workflow(MONDAY).returncode == 0
    assert (repository.pull_requests(), repository.head) == (["OPEN"], head)


def test_gh_failure_fails_the_run_without_a_second_pull_request(repository: ReportRepository) -> None:
    repository.workflow(MONDAY)
    assert repository.workflow(TUESDAY, GH_FAILS="list").returncode != 0
    assert repository.pull_requests() == ["OPEN"]


def test_rejected_push_fails_the_run(repository: ReportRepository) -> None:
    hook = repository.folder / "remote.git/hooks/pre-receive"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    done = repository.workflow(MONDAY)
    assert done.returncode == 1
    assert f"cannot push to {BRANCH}" in done.stderr
    assert repository.pull_requests() == []


@pytest.mark.parametrize("ref", ["main", BRANCH])
def test_edited_report_makes_the_run_red_after_the_report_of_the_day_is_pushed(
    ref: str, repository: ReportRepository
) -> None:
    repository.workflow(MONDAY)
    if ref == "main":
        repository.merge()
    repository.update()
    if ref == BRANCH:
        repository.git("reset", "-q", "--hard", f"origin/{BRANCH}", cwd="maintainer")
    report = repository.folder / "maintainer" / REPORTS / f"{MONDAY}.md"
    report.write_text(report.read_text().replace("PASS", "FAIL"))
    repository.git("commit", "-qam", "Edit a report", cwd="maintainer")
    repository.git("push", "-q", "origin", f"HEAD:{ref}", cwd="maintainer")
    done = repository.workflow(TUESDAY)
    assert done.returncode == 1
    assert f"{MONDAY}.md was edited" in done.stdout + done.stderr
    assert repository.days(BRANCH) == [MONDAY, TUESDAY]


def test_query_of_pull_requests_leaves_out_those_of_forks() -> None:
    text = Path(__file__).parents[2].joinpath("deploy/ci/open_report_pr.sh").read_text()
    query = text.split("--jq '")[1].split("'")[0]
    pulls = [{"state": "OPEN", "headRefOid": "aa", "isCrossRepository": True},
             {"state": "CLOSED", "headRefOid": "bb", "isCrossRepository": False}]
    listed = subprocess.run(
        [installed("jq"), "-r", query], input=json.dumps(pulls), capture_output=True, text=True, check=True)
    assert listed.stdout == "CLOSED bb\n"


@pytest.mark.slow
def test_real_program_writes_the_report_of_the_pull_request(repository: ReportRepository) -> None:
    write_orgrecon_program(repository.folder / "bin/orgrecon")
    done = repository.workflow(str(_NOW))
    assert done.returncode == 0, done.stderr
    report = repository.git("show", f"{BRANCH}:{REPORTS}/{_NOW}.md")
    assert "<!-- orgrecon-record: " in report.splitlines()[-1]


@dataclass
class Weeks:
    """Random weeks: the repository, and a model of which evidence its main branch and its rolling branch have."""

    repository: ReportRepository
    chance: random.Random
    cluster: History = field(default_factory=History)
    main: dict[date, Verdict | None] = field(default_factory=dict)  # None: a baseline
    pending: set[date] = field(default_factory=set)

    def live_day(self, day: date) -> None:
        """Let the cluster observe a day, and sometimes bring all its reports home."""
        self.cluster.add(observation(day, self.chance.choice([Verdict.PASS] * 9 + [Verdict.FAIL])))
        if self.chance.random() < 0.15:
            volume = self.repository.folder / "volume"
            volume.mkdir(exist_ok=True)
            for known in self.cluster.by_day:
                (volume / f"{known}.md").write_text(render(self.cluster.record(known)))
            synced = sync_trail(volume, self.repository.update(), _NOW)
            assert (synced.conflicts, synced.disagreements) == ([], [])
            self.repository.commit({}, "Reports of the cluster")
            self.main |= {known: self.cluster.record(known).verdict for known in self.cluster.by_day}

    def run_workflow(self, day: date) -> None:
        """Run the workflow, sometimes twice at the same time."""
        processes = [self.repository.start(str(day)) for _ in range(2 if self.chance.random() < 0.1 else 1)]
        results = [process.communicate(timeout=120) for process in processes]
        assert [process.returncode for process in processes] == [0] * len(processes), results
        self.pending.add(day)

    def handle_pull_request(self) -> None:
        """Merge the pull request, close it, or drop its branch, sometimes."""
        if self.chance.random() < 0.3 and self.repository.merge(self.chance.choice(["merge", "squash"])):
            self.main = dict.fromkeys(self.pending) | self.main
            if self.chance.random() < 0.5:
                self.repository.delete_branch()
            self.pending.clear()
        elif self.chance.random() < 0.05:
            self.repository.close()
            if self.chance.random() < 0.3:
                self.repository.delete_branch()
                self.pending.clear()


def streak_of(days: Mapping[date, Verdict | None], day: date) -> int:
    """Return the streak by the rules in words: live PASS days, and baselines before the first live day."""
    first_live = min((d for d, verdict in days.items() if verdict), default=date.max)
    streak = 0
    while day in days and (days[day] is Verdict.PASS or (days[day] is None and day < first_live)):
        streak, day = streak + 1, day - timedelta(days=1)
    return streak


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_trail_of_six_random_weeks_is_sound_and_its_gate_equals_the_oracle(repository: ReportRepository) -> None:
    chance = random.Random(1)
    weeks, checked = Weeks(repository, chance), ""
    first_live = DAYS[chance.randrange(14, 28)]
    for day in DAYS[:42]:
        if day >= first_live:
            weeks.live_day(day)
        if chance.random() < 0.2:
            repository.update()
            repository.commit({"code.py": f"{day}\n"})
        if chance.random() < 0.9:
            weeks.run_workflow(day)
        weeks.handle_pull_request()

        if checked == (checked := repository.git("rev-parse", "main")):
            continue
        directory = repository.update()
        assert verify_trail(directory).findings == () or not weeks.main
        records = {d: read_report(path) for d, path in report_files(directory)}
        assert {d: None if not r.provenance.compared else r.verdict for d, r in records.items()} == weeks.main
        evidence = {d: record.to_evidence() for d, record in records.items()}
        decision = decide_gate(day, evidence, GatePolicy())
        assert decision.streak_days == streak_of(weeks.main, day)
    assert repository.pull_requests().count("OPEN") <= 1
