"""The gate of tenants on the command line: which tenants are asked for, and how their gates are printed."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from orgrecon_pipeline.cli.output.screen import Text
from orgrecon_pipeline.cli.output.terminal import print_csv, print_json, printable, stdout
from orgrecon_pipeline.domain.errors import UsageError
from orgrecon_pipeline.domain.gate.state import GateState

if TYPE_CHECKING:
    from orgrecon_pipeline.operations.gate.sources import GateEvidence
    from orgrecon_pipeline.operations.gate.tenants import CohortAnswer, TenantAnswer, TenantGates

_COLUMNS = ("tenant", "state", "streak_days", "earliest_open_day", "drifting_keys", "reason_code", "reason")
_LONGEST_COHORT = 64_000_000  # bytes


class GateFormat(str, Enum):
    """How the gate is printed."""

    TEXT = "text"
    JSON = "json"
    CSV = "csv"


@dataclass(frozen=True)
class TenantSelection:
    """The tenants to ask for: the named ones, or (``names`` is None) all of them in a state and with a streak."""

    names: tuple[str, ...] | None
    state: GateState | None = None
    min_streak: int = 0

    @classmethod
    def of(
        cls, names: Sequence[str], cohort: str | None, *, by_tenant: bool, state: GateState | None, min_streak: int
    ) -> TenantSelection | None:
        """Return what the options select, None if they do not ask for tenants.

        Raises:
            UsageError: if they contradict each other, or the file of the cohort cannot be read or names no tenant.
        """
        named = bool(names) or cohort is not None
        if named and by_tenant:
            raise UsageError("--by-tenant cannot be combined with --tenant or --cohort: leave out one of them.")
        if (state is not None or min_streak) and not by_tenant:
            raise UsageError("--state and --min-streak filter the list of --by-tenant: add --by-tenant.")
        if by_tenant:
            return cls(None, state, min_streak)
        return cls((*names, *_read_cohort(cohort))) if named else None

    def shows(self, tenant: TenantAnswer) -> bool:
        """Return whether the list of all tenants shows this one."""
        decision = tenant.decision
        return self.state in (None, decision.state) and decision.streak_days >= self.min_streak


def show_tenants(evidence: GateEvidence, wanted: TenantSelection, format: GateFormat) -> int:
    """Print the gates of the tenants, and return the exit code."""
    from orgrecon_pipeline.operations.gate.tenants import TenantGates

    gates = TenantGates(evidence)
    if wanted.names is None:
        _show_all(gates, filter(wanted.shows, gates.all()), format)
        return 0 if gates.company.open else 1
    cohort = gates.cohort(wanted.names)
    if format is GateFormat.JSON:
        print_json(cohort.as_json_value())
    elif format is GateFormat.CSV:
        _print_csv(cohort.tenants)
    else:
        _print_cohort(cohort)
    return 0 if cohort.open else 1


def _show_all(gates: TenantGates, tenants: Iterable[TenantAnswer], format: GateFormat) -> None:
    """Print one tenant after the other: there can be a million."""
    if format is GateFormat.CSV:
        _print_csv(tenants)
    elif format is GateFormat.JSON:
        company = json.dumps(gates.company.as_json_value(), ensure_ascii=False, sort_keys=True)
        sys.stdout.write(f'{company[:-1]}, "tenants": [')
        shared: dict[int, str] = {}  # by the identity of the decision, which most tenants share
        for number, tenant in enumerate(tenants):
            if id(tenant.decision) not in shared:
                value = tenant.as_json_value()
                del value["tenant"], value["drifting_keys"]
                shared[id(tenant.decision)] = json.dumps(value, ensure_ascii=False)[1:]
            sys.stdout.write(f'{", " if number else ""}{{"tenant": {json.dumps(tenant.tenant, ensure_ascii=False)}, '
                             f'"drifting_keys": {tenant.drifting_keys}, {shared[id(tenant.decision)]}')
        sys.stdout.write("]}\n")
    else:
        _print_lines(tenants)
        _print_company(gates.company.decision.state, gates.company.decision.reason.sentence)


def _print_cohort(cohort: CohortAnswer) -> None:
    for tenant in cohort.tenants:
        _print_lines([tenant])
        if forecast := cohort.forecast(tenant):
            sys.stdout.write(f"        still needed: {forecast.sentence}\n")
    state = GateState.OPEN if cohort.open else GateState.CLOSED
    colour = "green" if cohort.open else "yellow"
    text = Text(f"TENANT GATE {state.value}", style=f"bold {colour}").append(f"  {cohort.reason}", style="default")
    stdout().print_box(text, colour)
    _print_company(cohort.company.decision.state, cohort.company.decision.reason.sentence)


def _print_company(state: GateState, reason: str) -> None:
    stdout().print(Text(f"the company's gate is {state.value}: {reason}"))


def _print_lines(tenants: Iterable[TenantAnswer]) -> None:
    for name, decision, *_ in tenants:
        why = "" if decision.state is GateState.OPEN else f"  {printable(decision.reason.sentence)}"
        sys.stdout.write(f"{decision.state.value:6}  streak {decision.streak_days:>3}  {printable(name)}{why}\n")


def _print_csv(tenants: Iterable[TenantAnswer]) -> None:
    print_csv(_COLUMNS, (tenant.as_json_value() for tenant in tenants))


def _read_cohort(cohort: str | None) -> tuple[str, ...]:
    """Return the tenants of a file, one per line without the white space around it; ``-`` is standard input."""
    if cohort is None:
        return ()
    try:
        if cohort == "-":
            content = sys.stdin.buffer.read(_LONGEST_COHORT + 1)
        else:
            with open(cohort, "rb") as file:
                content = file.read(_LONGEST_COHORT + 1)
        if len(content) > _LONGEST_COHORT:
            raise UsageError(f"--cohort {cohort}: longer than {_LONGEST_COHORT // 1_000_000} MB: split it into several "
                             "files, or use --by-tenant.")
        # Not splitlines(), which would also split a name at U+2028 and the like, and ask for its parts.
        lines = content.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError:
        raise UsageError(f"--cohort {cohort}: not UTF-8 text: save it as UTF-8.") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a path"
        raise UsageError(f"--cohort {cohort}: cannot be read ({reason}): check the path.") from None
    if not (names := tuple(name for line in lines if (name := line.strip()))):
        raise UsageError(f"--cohort {cohort}: names no tenant: write one tenant per line.")
    return names
