"""DSNs: every form of Postgres URL is accepted, and no error message contains a part of an invalid one."""

from __future__ import annotations

import pytest

from orgrecon_pipeline.domain.errors import ConfigurationError
from orgrecon_pipeline.ledger.connection.address import parse_address
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
def test_dsn_in_any_form_is_parsed(url: str, parameters: dict[str, str]) -> None:
    assert Dsn.parse(url, "DATABASE_URL").parameters == parameters


@pytest.mark.parametrize("url", [
    f"mysql://u:{SECRET}@h/d", f"u:{SECRET}@h/d", f"host=h password={SECRET}", f"postgresql://u:{SECRET}@@h/d",
    f"postgresql://u:{SECRET}@h:port/d", f"postgresql://u:{SECRET}@h:99999/d", f"postgresql://u:{SECRET}%zz@h/d",
    f"postgresql://h/d?passwort={SECRET}", f"postgresql://u:{SECRET}@[::1/d", "", f"postgresql:/u:{SECRET}@h/d",
    f"postgresql://u:{SECRET}/x@h/d", f"postgresql://u:{SECRET}\x00@h/d",
    f"postgresql://h/d?sslmode={SECRET}", f"postgresql://h/d?connect_timeout={SECRET}",
    f"postgresql://h/d?target_session_attrs={SECRET}", f"postgresql://h/d?keepalives_idle=1{SECRET}",
])
def test_invalid_dsn_is_refused_without_its_secret(url: str) -> None:
    with pytest.raises(ConfigurationError, match="DATABASE_URL") as caught:
        Dsn.parse(url, "DATABASE_URL")
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert SECRET not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("parameter", "message"), [
    ("connect_timeout=x", "connect_timeout must be an integer"),
    ("connect_timeout=1.5", "connect_timeout must be an integer"),
    ("sslmode=bogus", "sslmode must be one of disable, allow, prefer, require, verify-ca, verify-full"),
    ("sslmode=Require", "sslmode must be one of"), ("gssencmode=no", "gssencmode must be one of disable"),
    ("replication=database", "replication opens a connection that runs no queries: remove it"),
    ("port=5432/x", "the port must be a number from 1 to 65535; in the password, write %2F for each '/'"),
])
def test_invalid_parameter_of_any_url_is_named_before_connecting(parameter: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^DATABASE_URL: {message}"):
        Dsn.parse(f"postgresql://u:{SECRET}@h/d?{parameter}", "DATABASE_URL")
    with pytest.raises(ConfigurationError, match=f"^ORGRECON_LEDGER_URL: {message}"):
        parse_address(f"postgresql://u:{SECRET}@h/d?{parameter}")


@pytest.mark.parametrize(("query", "message"), [
    ("sslmod=require", "sslmod is not a parameter of libpq: write sslmode"),
    ("sslmode=require&sslrootcrt=/ca.crt", "sslrootcrt is not a parameter of libpq: write sslrootcert"),
    ("schema=public", "schema is not a parameter of libpq: remove it"),
    (f"passwd={SECRET}", "passwd is not a parameter of libpq: write password"),
])
def test_unknown_parameter_of_a_url_is_named(query: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Dsn.parse(f"postgresql://u:p@h/d?{query}", "DATABASE_URL")
    assert str(refused.value) == f"DATABASE_URL: {message}."


@pytest.mark.parametrize("url", [f"postgresql://h/d?{SECRET}=1@host/d", f"postgresql://u@h?{SECRET}=x@y"])
def test_possible_part_of_a_password_is_not_named_as_a_parameter(url: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Dsn.parse(url, "DATABASE_URL")
    assert SECRET not in str(refused.value)


def test_repr_shows_no_parameter() -> None:
    assert repr(Dsn.parse(f"postgresql://u:{SECRET}@h/d", "DATABASE_URL")) == "Dsn()"
