"""A failed connection and its cause."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cause:
    """Cause of a failed connection and its remedy, as one sentence without parameter values.

    ``temporary`` says whether the same connection can succeed later without a change of its URL.
    """

    sentence: str
    temporary: bool = False


class ConnectionFailed(Exception):
    """A connection could not be opened, for the given ``cause``."""

    def __init__(self, cause: Cause) -> None:
        super().__init__(cause.sentence)
        self.cause = cause
