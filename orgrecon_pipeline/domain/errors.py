"""Errors whose message is one sanitised line: it says what is wrong and what to do.

Users see these messages, and ledgers and reports store them. So they never contain a password, a DSN or a value of a
compared row.
"""

from __future__ import annotations

from typing import Any, ClassVar

from orgrecon_pipeline.domain.identity import Identity
from orgrecon_pipeline.domain.reasons import Reason, ReasonCode


class OrgreconError(Exception):
    """Base of all errors that are shown to users as one line."""

    exit_code: ClassVar[int] = 2


class UsageError(OrgreconError):
    """The command line asks for something impossible."""


class OtherIdentity(UsageError):
    """A report belongs to another identity than the one at hand.

    ``what`` is its path in the message, ``theirs`` its identity, and ``ours`` the one at hand.
    """

    def __init__(self, what: str, theirs: Identity, ours: Identity) -> None:
        self.theirs = theirs
        fixes = []
        if theirs.environment != ours.environment:
            fixes.append(f"set ORGRECON_ENVIRONMENT={theirs.environment}" if theirs.environment
                         else "set ORGRECON_ENVIRONMENT to nothing")
        if theirs.migration != ours.migration:
            fixes.append(f"name the mapping of {theirs.migration} with --mapping")
        super().__init__(f"{what} belongs to {theirs}, not {ours}: {' and '.join(fixes)}, or name another directory.")


class ConfigurationError(OrgreconError):
    """The environment, a DSN or the mapping file cannot be used."""


class DayRefused(OrgreconError):
    """The day cannot be materialised: it is in the future, or it is past and has no evidence."""


class UnsoundTrail(OrgreconError):
    """A report or a trail cannot be trusted."""

    exit_code: ClassVar[int] = 1


class EvidenceNotStored(OrgreconError):
    """The ledger or the report could not be written, so the day stays undecided."""

    exit_code: ClassVar[int] = 3


class LedgerUnavailable(OrgreconError):
    """The ledger failed temporarily: the same call can succeed later without a change of the configuration."""

    exit_code: ClassVar[int] = 3


class AlreadyRunning(OrgreconError):
    """Another run holds the lock of the day."""

    exit_code: ClassVar[int] = 4


class CannotDecide(Exception):
    """The comparison could not be completed: the observation becomes INCONCLUSIVE.

    ``reason`` has one sanitised sentence without its full stop; ``str(error)`` is that sentence.
    """

    def __init__(self, sentence: str, code: ReasonCode = ReasonCode.COMPARISON_FAILED, **parameters: Any) -> None:
        """Make the error; the reason has the given parameters, and the sentence as ``detail``."""
        super().__init__(sentence)
        self.reason = Reason.word(code, sentence, detail=sentence, **parameters)
