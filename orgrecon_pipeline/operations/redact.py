"""Redaction of unexpected errors, whose messages may contain a row or a password."""

from __future__ import annotations

import re
import traceback
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, unquote

_PACKAGE = Path(__file__).parents[1]
_PASSWORD = re.compile(r"://([^/?#]*)@|[?&]password=([^&#]*)")
_SECRET_NAME = re.compile("PASSWORD|TOKEN$|SIGNING_KEY")
# Shorter strings occur everywhere: replacing them would make the traceback unreadable.
_MIN_SECRET_LENGTH = 3


def internal_error(error: BaseException) -> str:
    """Return the class of an unexpected error and the last line of this package that it passed, without its message."""
    lines = [
        f"{Path(frame.filename).parent.name}/{Path(frame.filename).name}:{frame.lineno}"
        for frame in traceback.extract_tb(error.__traceback__) if _PACKAGE in Path(frame.filename).parents]
    return f"internal error ({type(error).__name__}{f' in {lines[-1]}' if lines else ''})"


def redacted_traceback(error: BaseException, environ: Mapping[str, str]) -> str:
    """Return the traceback of an error and of its causes, without the URLs and passwords of the environment."""
    return without_secrets("".join(traceback.format_exception(type(error), error, error.__traceback__)), environ)


def without_secrets(text: str, environ: Mapping[str, str]) -> str:
    """Return a text without the URLs and passwords of the environment."""
    for secret in sorted(_secrets(environ), key=len, reverse=True):
        text = text.replace(secret, "…")
    return text


def _secrets(environ: Mapping[str, str]) -> set[str]:
    """Return each password and token of the environment in every encoding, and the URLs that contain one."""
    secrets = {value.strip() for name, value in environ.items() if _SECRET_NAME.search(name.upper())}
    for value in environ.values():
        for user_info, parameter in _PASSWORD.findall(value):
            secrets |= {value, user_info, user_info.partition(":")[2], parameter}
        if "password=" in value:
            secrets.add(value)
    encoded = {text for secret in secrets for text in (
        secret, unquote(secret), quote(unquote(secret), safe=""), repr(secret)[1:-1], repr(unquote(secret))[1:-1])}
    return {text for text in encoded if len(text) >= _MIN_SECRET_LENGTH}
