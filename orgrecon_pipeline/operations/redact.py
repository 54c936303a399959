"""Errors that nobody foresaw, told without what they say: their words may hold a row or a secret."""

from __future__ import annotations

import re
import traceback
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, unquote

_PACKAGE = Path(__file__).parents[1]
_USER_INFO = re.compile(r"://([^/?#]*)@|[?&]password=([^&#]*)")
_SHORTEST = 3  # less would be found everywhere


def internal_error(error: BaseException) -> str:
    """The class of an error, and the last place of ours that it passed. Never its message."""
    places = [
        f"{Path(frame.filename).parent.name}/{Path(frame.filename).name}:{frame.lineno}"
        for frame in traceback.extract_tb(error.__traceback__) if _PACKAGE in Path(frame.filename).parents
    ]
    return f"internal error ({type(error).__name__}{f' in {places[-1]}' if places else ''})"


def redacted_traceback(error: BaseException, environ: Mapping[str, str]) -> str:
    """The traceback of an error and of its causes, without any URL or password of the environment."""
    text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    for secret in sorted(_secrets(environ), key=len, reverse=True):
        text = text.replace(secret, "…")
    return text


def _secrets(environ: Mapping[str, str]) -> set[str]:
    """Every way in which a password of the environment could be written, and the URLs that hold one."""
    found = {value for name, value in environ.items() if "PASSWORD" in name.upper()}
    for value in environ.values():
        for user_info, parameter in _USER_INFO.findall(value):
            found |= {value, user_info, user_info.partition(":")[2], parameter}
        if "password=" in value:
            found.add(value)
    spelled = {spelling for text in found for spelling in (text, unquote(text), quote(unquote(text), safe=""),
                                                           repr(text)[1:-1], repr(unquote(text))[1:-1])}
    return {text for text in spelled if len(text) >= _SHORTEST}
