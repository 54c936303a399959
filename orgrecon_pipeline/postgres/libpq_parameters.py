"""Values of libpq's parameters that can only be wrong: told before a connection is tried, and in the same words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_WORDS = {
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "sslnegotiation": ("postgres", "direct"),
    "gssencmode": ("disable", "prefer", "require"),
    "channel_binding": ("disable", "prefer", "require"),
    "target_session_attrs": ("any", "read-write", "read-only", "primary", "standby", "prefer-standby"),
    "load_balance_hosts": ("disable", "random"),
    "sslcertmode": ("disable", "allow", "require"),
    "ssl_min_protocol_version": ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"),
    "ssl_max_protocol_version": ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"),
}
_NUMBERS = ("connect_timeout", "keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count",
            "tcp_user_timeout", "sslcompression", "sslsni")
_NUMBER = re.compile(r"\s*[+-]?[0-9]{1,9}\s*", re.ASCII)


def unfit_parameter(parameters: Mapping[str, Any]) -> str:
    """What is wrong with the first parameter whose value is none of its own, without that value; empty for none."""
    for name, value in parameters.items():
        text = str(value)
        if name in _NUMBERS and text and not _NUMBER.fullmatch(text):
            return f"{name} is not a whole number: correct it"
        if text and text not in _WORDS.get(name, (text,)):
            return f"{name} is none of {', '.join(_WORDS[name])}: correct it"
    return ""
