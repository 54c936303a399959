"""Ask the gate, and give its answer to the workflow: outputs, step summary, annotation and exit code.

Needs only the standard library, and the program in ``ORGRECON`` unless an exporter is asked. Exit code: 0 OPEN,
1 CLOSED, 2 an error. Inputs arrive in variables, because text in a command could be run.
"""

from __future__ import annotations

import html
import http.client
import json
import os
import secrets
import subprocess
import sys
import urllib.parse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SOURCES = ("ledger-url", "trail", "dagster-url", "gate-url")
_SHOWN_TENANTS = 20
_TIMEOUT_SECONDS = 30
_MAX_ANSWER_BYTES = 10_000_000


class NoAnswer(Exception):
    """The gate could not be asked: one sentence without secrets."""


@dataclass(frozen=True)
class Answer:
    """What was asked, and the answer."""

    state: str
    reason: str
    identity: str = ""
    streak_days: int | str = ""
    earliest_open_day: str = ""
    tenants: tuple[str, ...] = ()

    @classmethod
    def of(cls, gate: dict[str, Any], tenants: list[dict[str, Any]], *, is_open: bool, reason: str) -> Answer:
        """Return the answer for the company, or for tenants if there are any: then the strictest figures."""
        asked = tenants or [gate]
        identity = " in ".join(filter(None, (gate["migration"], gate["environment"])))
        return cls(
            "OPEN" if is_open else "CLOSED", reason, identity, min(answer["streak_days"] for answer in asked),
            max(answer["earliest_open_day"] for answer in asked),
            tuple(f"{answer['tenant']}: {answer['state']}, {answer['reason']}" for answer in tenants))

    def lines(self) -> list[str]:
        """Return the answer as lines of text."""
        shown = list(self.tenants[:_SHOWN_TENANTS])
        if more := len(self.tenants) - len(shown):
            shown.append(f"and {more} more")
        figures = ([f"streak {self.streak_days}, earliest opening day {self.earliest_open_day}"]
                   if self.earliest_open_day else [])
        return [f"{self.identity}: GATE {self.state}" if self.identity else f"GATE {self.state}", self.reason,
                *figures, *shown]


def given(name: str) -> str:
    """Return an input of the action; empty if it is not given."""
    return os.environ.get(f"INPUT_{name.upper().replace('-', '_')}", "").strip()


def required_live_days() -> int:
    """Return the input ``require-live``."""
    text = given("require-live") or "0"
    if not (text.isascii() and text.isdecimal()):
        raise NoAnswer(f"require-live must be a number of days, not {text}")
    return int(text)


def tenants_asked() -> list[str]:
    """Return the tenants in the inputs ``tenant`` and ``cohort``."""
    names = given("tenant").split("\n")
    if cohort := given("cohort"):
        try:
            listed = Path(cohort).read_text(encoding="utf-8")
        except (OSError, ValueError):
            raise NoAnswer(f"the cohort {cohort} cannot be read: check the input cohort") from None
        if not listed.strip():
            raise NoAnswer(f"the cohort {cohort} names no tenant: check the input cohort")
        names += listed.split("\n")
    return [name.strip() for name in names if name.strip()]


def ask_program() -> Answer:
    """Ask with ``orgrecon gate``."""
    command = [os.environ["ORGRECON"], "gate", "--format", "json", "--require-live", str(required_live_days())]
    for name, option in (("trail", "--output-dir"), ("dagster-url", "--dagster-url"), ("mapping", "--mapping")):
        command += [f"{option}={given(name)}"] if given(name) else []
    command += [f"--signed-by={line.strip()}" for line in given("signed-by").split("\n") if line.strip()]
    asked = tenants_asked()
    command += ["--cohort=-"] if asked else []
    environ = {name: value for name, value in os.environ.items() if not name.startswith("INPUT_")}
    for name, variable in (("ledger-url", "ORGRECON_LEDGER_URL"), ("token", "ORGRECON_DAGSTER_TOKEN"),
                           ("environment", "ORGRECON_ENVIRONMENT")):
        environ |= {variable: given(name)} if given(name) else {}
    try:
        done = subprocess.run(  # noqa: S603 - a list, without a shell
            command, env=environ, input="\n".join(asked), capture_output=True, text=True, check=False)
    except OSError as error:
        raise NoAnswer(f"orgrecon cannot be started ({error.strerror})") from None
    if done.returncode not in (0, 1):
        raise NoAnswer((done.stderr.strip().splitlines() or ["orgrecon ended without a message"])[-1])
    gate = json.loads(done.stdout)
    about = gate["cohort"] if asked else gate
    return Answer.of(gate, gate["tenants"] if asked else [], reason=about["reason"],
                     is_open=done.returncode == 0 and about["state"] == "OPEN")


def ask_exporter() -> Answer:
    """Ask an exporter over HTTP: once for the company, or once for each tenant."""
    asked, required = tenants_asked(), required_live_days()
    if not asked:
        gate = fetch("")
        if gate["state"] == "OPEN" and gate["live_days"] < required:
            gate |= {"state": "CLOSED", "reason": f"only {gate['live_days']} of {required} required days are live"}
        return Answer.of(gate, [], is_open=gate["state"] == "OPEN", reason=gate["reason"])
    gates = [fetch(f"/tenants/{urllib.parse.quote(tenant, safe='')}") for tenant in asked]
    if [gate["tenant"] for gate in gates] != asked:
        raise NoAnswer("the exporter answered for another tenant: check the input gate-url")
    closed = [gate for gate in gates if gate["state"] != "OPEN"]
    reason = f"{len(gates) - len(closed)} of {len(gates)} tenants are OPEN"
    return Answer.of(gates[0], gates, is_open=not closed, reason=reason)


def fetch(path: str) -> dict[str, Any]:
    """Return an answer of the exporter that has the expected identity. Redirects are not followed."""
    url = urllib.parse.urlsplit(given("gate-url"))
    kinds = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
    if url.scheme not in kinds or not url.hostname:
        raise NoAnswer("gate-url is not an address: write https://HOST/gate")
    headers = {"Authorization": f"Bearer {given('token')}"} if given("token") else {}
    try:
        connection = kinds[url.scheme](url.netloc.rpartition("@")[2], timeout=_TIMEOUT_SECONDS)
        connection.request("GET", url.path.rstrip("/") + path, headers=headers)
        response = connection.getresponse()
        answer = json.loads(response.read(_MAX_ANSWER_BYTES))
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NoAnswer(f"{url.hostname} gave no answer ({type(error).__name__}): check gate-url and token") from None
    expected = {"migration": given("migration"), "environment": given("environment")}
    if not isinstance(answer, dict) or "migration" not in answer:
        reason = answer.get("reason") if isinstance(answer, dict) else None
        raise NoAnswer(f"{url.hostname} answered {response.status}: {reason or 'this is not a gate'}")
    if not expected.items() <= answer.items():
        raise NoAnswer(f"{url.hostname} answers for another migration or environment: check the inputs migration and "
                       "environment")
    if response.status != http.client.OK:
        answer["state"] = "CLOSED"
    return answer


def printable(line: str) -> str:
    """Return a line without control characters, which could end it or hide text."""
    return "".join(character if character.isprintable() else "�" for character in line)


def publish(answer: Answer) -> None:
    """Write the outputs, the step summary and an annotation. Names of tenants are data, never commands or markup."""
    outputs = {"state": answer.state, "streak": answer.streak_days, "reason": answer.reason,
               "earliest-open-day": answer.earliest_open_day}
    text = "\n".join(map(printable, answer.lines()))
    with Path(os.environ["GITHUB_OUTPUT"]).open("a", encoding="utf-8") as file:
        for name, value in outputs.items():
            end = secrets.token_hex()
            file.write(f"{name}<<{end}\n{value}\n{end}\n")
    with Path(os.environ["GITHUB_STEP_SUMMARY"]).open("a", encoding="utf-8") as file:
        file.write(f"### orgrecon: gate {answer.state}\n\n<pre>\n{html.escape(text)}\n</pre>\n")
    end = secrets.token_hex()
    print(f"::stop-commands::{end}\n{text}\n::{end}::")  # noqa: T201
    if answer.state != "OPEN":
        escaped = answer.reason.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
        print(f"::error title=orgrecon gate CLOSED::{escaped}")  # noqa: T201


def main() -> int:
    """Ask the only source that is given, and return the exit code."""
    try:
        sources = [name for name in SOURCES if given(name)]
        if len(sources) != 1:
            raise NoAnswer(f"give exactly one of the inputs {', '.join(SOURCES)}: {len(sources)} are given")
        if given("signed-by") and sources != ["trail"]:
            raise NoAnswer("signed-by is about the reports of the input trail: leave it out, or give trail")
        answer = ask_exporter() if sources == ["gate-url"] else ask_program()
    except NoAnswer as why:
        publish(Answer("CLOSED", str(why)))
        return 2
    except Exception as error:  # an OPEN must not depend on code that failed
        publish(Answer("CLOSED", f"the answer cannot be read ({type(error).__name__})"))
        return 2
    publish(answer)
    return 0 if answer.state == "OPEN" else 1


if __name__ == "__main__":
    sys.exit(main())
