"""DSNs: every Postgres form, and no part of a broken one in a message."""

from __future__ import annotations

import pytest

from orgrecon_pipeline.domain.errors import ConfigurationError
from orgrecon_pipeline.ledger.address import parse_address
from orgrecon_pipeline.postgres.dsn import Dsn

SECRET = "hunter2"


@pytest.mark.parametrize(("url", "parameters"), [
    ("postgres://a:b@h/d", {"user": "a", "password": "b", "host": "h", "dbname": "d"}),
    ("postgresql://h:5433/d?sslmode=require", {"host": "h", "port": "5433", "dbname": "d", "sslmode": "require"}),
    ("postgresql+asyncpg://a:p%40%2F%25@h/d", {"user": "a", "password": "p@/%", "host": "h", "dbname": "d"}),
    ("postgresql+psycopg2:///d?host=/var/run/postgresql", {"dbname": "d", "host": "/var/run/postgresql"}),
    ("postgresql://h1:1,h2:2/d", {"host": "h1,h2", "port": "1,2", "dbname": "d"}),
    ("postgresql://h/d?connect_timeout=-1&sslmode=verify-full&keepalives=%2B1", {
        "host": "h", "dbname": "d", "connect_timeout": "-1", "sslmode": "verify-full", "keepalives": "+1"}),
    ("postgresql://?service=legacy", {"service": "legacy"}),
    ("  postgresql://h/d\n", {"host": "h", "dbname": "d"}),
])
def test_forms(url: str, parameters: dict[str, str]) -> None:
    assert Dsn.parse(url, "DATABASE_URL").parameters == parameters


@pytest.mark.parametrize("url", [
    f"mysql://u:{SECRET}@h/d", f"u:{SECRET}@h/d", f"host=h password={SECRET}", f"postgresql://u:{SECRET}@@h/d",
    f"postgresql://u:{SECRET}@h:port/d", f"postgresql://u:{SECRET}@h:99999/d", f"postgresql://u:{SECRET}%zz@h/d",
    f"postgresql://h/d?passwort={SECRET}", f"postgresql://u:{SECRET}@[::1/d", "", f"postgresql:/u:{SECRET}@h/d",
    f"postgresql://u:{SECRET}/x@h/d", f"postgresql://u:{SECRET}\x00@h/d",
    f"postgresql://h/d?sslmode={SECRET}", f"postgresql://h/d?connect_timeout={SECRET}",
    f"postgresql://h/d?target_session_attrs={SECRET}", f"postgresql://h/d?keepalives_idle=1{SECRET}",
])
def test_broken_ones_are_refused_without_telling_the_secret(url: str) -> None:
    with pytest.raises(ConfigurationError, match="DATABASE_URL") as told:
        Dsn.parse(url, "DATABASE_URL")
    assert told.value.__cause__ is None
    assert told.value.__suppress_context__ or told.value.__context__ is None
    assert SECRET not in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(("parameter", "words"), [
    ("connect_timeout=x", "connect_timeout is not a whole number"),
    ("connect_timeout=1.5", "connect_timeout is not a whole number"),
    ("sslmode=bogus", "sslmode is none of disable, allow, prefer, require, verify-ca, verify-full"),
    ("sslmode=Require", "sslmode is none of"), ("gssencmode=no", "gssencmode is none of disable"),
])
def test_a_parameter_that_cannot_be_meant_is_named(parameter: str, words: str) -> None:
    """Of the database and of the ledger alike, before anything is tried."""
    with pytest.raises(ConfigurationError, match=f"^DATABASE_URL: {words}"):
        Dsn.parse(f"postgresql://u:{SECRET}@h/d?{parameter}", "DATABASE_URL")
    with pytest.raises(ConfigurationError, match=rf"\(ORGRECON_LEDGER_URL\): {words}"):
        parse_address(f"postgresql://u:{SECRET}@h/d?{parameter}")


def test_the_repr_is_silent() -> None:
    assert repr(Dsn.parse(f"postgresql://u:{SECRET}@h/d", "DATABASE_URL")) == "Dsn()"
