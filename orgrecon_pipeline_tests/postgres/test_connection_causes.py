"""Causes of failed connections: each has one sentence with cause and remedy, whatever the server's language."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import psycopg
import pytest

from orgrecon_pipeline.postgres.connection.connect import connect
from orgrecon_pipeline.postgres.connection.failure import Cause, ConnectionFailed
from orgrecon_pipeline.postgres.dsn import Dsn
from orgrecon_pipeline_tests.support.operations.postgres_server import PostgresServer
from orgrecon_pipeline_tests.support.postgres.second_server import (
    Certificates,
    free_port,
    installed_server,
    reconfigure,
    second_server,
)

SECRET = "hunter2"
RULES = """
local all member scram-sha-256
local all identified peer
hostssl all owned all cert
hostssl all certified all trust clientcert=verify-full
hostnossl all encrypted all reject
hostssl all plain all reject
host all rejected all reject
host all member,late all scram-sha-256
host all identified all ident
host nowhere all all reject
host all all 127.0.0.1/32 trust
"""


def cause(url: str) -> Cause:
    """Return why a connection fails, after checking that the sentence shows no value of the URL."""
    with pytest.raises(ConnectionFailed) as failed:
        connect(Dsn.parse(url, "DATABASE_URL").parameters)
    found = failed.value.cause
    assert failed.value.__cause__ is None
    for secret in (SECRET, "127.0.0.1", "localhost", "member"):
        assert secret not in found.sentence
    assert "\n" not in found.sentence
    assert not found.sentence.endswith(".")
    return found


class TlsServer(NamedTuple):
    """A server with TLS, the directory of its certificates ``c``, and that of another authority, ``o``."""

    server: PostgresServer
    c: Path
    o: Path
    port: int

    def url(self, login: str = "postgres@localhost", database: str = "postgres", **options: str) -> str:
        """Return a URL; ``options`` can name files in the directories, as in ``{c}/ca.crt``."""
        query = "&".join(f"{name}={quote(value.format(c=self.c, o=self.o), safe='')}"
                         for name, value in options.items())
        return f"postgresql://{login}:{self.port}/{database}?{query}"


@pytest.fixture(scope="module")
def tls() -> Iterator[TlsServer]:
    """A server that presents a valid certificate for ``localhost``."""
    port = free_port()
    with second_server(RULES, listen_addresses="localhost", port=str(port), max_connections="20") as server:
        own, other = Certificates(server.directory / "tls"), Certificates(server.directory / "other")
        own.issue("server", "localhost", to_server=True)
        own.issue("expired", "localhost", until=-1, to_server=True)
        own.issue("elsewhere", "elsewhere.example", to_server=True)
        own.issue("future", "localhost", since=5, until=9, to_server=True)
        own.issue("revoked", "localhost", to_server=True)
        own.revoke("revoked")
        own.sign_itself("itself", "localhost", to_server=True)
        own.issue("late", "certified", until=-1)
        for certificates in (own, other):
            certificates.issue("client", "certified")
            certificates.encrypt("client")
        (own.directory / "junk.crt").write_text("no certificate")
        (own.directory / "open.key").write_bytes((own.directory / "client.key").read_bytes())
        (own.directory / "open.key").chmod(0o644)
        present(server, "server")
        with psycopg.connect(server.dsn(), autocommit=True) as admin:
            for role in ("certified", "encrypted", "plain", "rejected", "identified", "loading", "owned"):
                admin.execute(f"CREATE ROLE {role} LOGIN")
            for statement in (
                f"CREATE ROLE member LOGIN PASSWORD '{SECRET}'",
                f"CREATE ROLE late LOGIN PASSWORD '{SECRET}' VALID UNTIL '2020-01-01'",
                "CREATE ROLE nologin", "CREATE ROLE busy LOGIN CONNECTION LIMIT 0",
                "ALTER ROLE loading SET session_preload_libraries = 'nothing'",
                "CREATE DATABASE closed ALLOW_CONNECTIONS false", "CREATE DATABASE private",
                "REVOKE CONNECT ON DATABASE private FROM PUBLIC",
            ):
                admin.execute(statement)
        yield TlsServer(server, own.directory, other.directory, port)


def present(server: PostgresServer, certificate: str) -> None:
    """Let a server present a certificate."""
    files = server.directory / "tls"
    reconfigure(server, ssl="on", ssl_cert_file=f"{files}/{certificate}.crt", ssl_key_file=f"{files}/{certificate}.key",
                ssl_ca_file=f"{files}/ca.crt")


# A connection that must fail, the beginning of the sentence, and whether the failure passes.
TRUSTED = {"sslmode": "verify-full", "sslrootcert": "{c}/ca.crt"}
CERTIFIED = {"sslmode": "require", "sslcert": "{c}/client.crt", "sslkey": "{c}/client.key"}
FAILURES: dict[str, tuple[str, dict[str, str], str, bool]] = {
    "no root certificate": ("", {**TRUSTED, "sslrootcert": "{c}/none.crt"},
                            "sslmode asks to verify the server's certificate, but there is no root certificate", False),
    "root certificate is no certificate": ("", {**TRUSTED, "sslrootcert": "{c}/junk.crt"},
                                           "the root certificate file cannot be read", False),
    "certificate of another authority": ("", {**TRUSTED, "sslrootcert": "{o}/ca.crt"},
                                         "a CA that is not in sslrootcert issued the server's certificate", False),
    "certificate of no known authority": ("", {"sslmode": "verify-full", "sslrootcert": "system"},
                                          "a CA that is not in sslrootcert issued the server's", False),
    "revocation list of another authority": ("", {**TRUSTED, "sslcrl": "{o}/ca.crl"},
                                             "sslcrl does not contain the revocation list of the CA", False),
    "weak sslmode": ("", {"sslmode": "require", "sslrootcert": "system"},
                     "sslrootcert=system needs sslmode=verify-full", False),
    "another host name": ("postgres@127.0.0.1", TRUSTED,
                          "the server's certificate is valid for another host name", False),
    "no client certificate": ("certified@localhost", {"sslmode": "require"},
                              "the server requires a client certificate", False),
    "client certificate of another authority": (
        "certified@localhost", {"sslmode": "require", "sslcert": "{o}/client.crt", "sslkey": "{o}/client.key"},
        "the server does not accept the client certificate", False),
    "client certificate that has expired": (
        "certified@localhost", {"sslmode": "require", "sslcert": "{c}/late.crt", "sslkey": "{c}/late.key"},
        "the server does not accept the client certificate", False),
    "client certificate of another role": ("owned@localhost", CERTIFIED,
                                           "the client certificate belongs to another role", False),
    "no client certificate to send": ("", {"sslmode": "require", "sslcertmode": "require"},
                                      "sslcertmode=require demands a client certificate, but", False),
    "encrypted key": ("certified@localhost", {**CERTIFIED, "sslkey": "{c}/client-encrypted.key"},
                      "the private key of the client certificate is encrypted", False),
    "encrypted key with a wrong password": (
        "certified@localhost", {**CERTIFIED, "sslkey": "{c}/client-encrypted.key", "sslpassword": SECRET},
        "the private key of the client certificate is encrypted", False),
    "no key": ("certified@localhost", {**CERTIFIED, "sslkey": "{c}/none.key"},
               "the private key of the client certificate cannot be used", False),
    "key of another certificate": ("certified@localhost", {**CERTIFIED, "sslkey": "{o}/client.key"},
                                   "the private key of the client certificate cannot be used", False),
    "key that others can read": ("certified@localhost", {**CERTIFIED, "sslkey": "{c}/open.key"},
                                 "the private key of the client certificate cannot be used", False),
    "no common version of TLS": (
        "", {"sslmode": "require", "ssl_min_protocol_version": "TLSv1", "ssl_max_protocol_version": "TLSv1.1"},
        "client and server have no TLS version in common", False),
    "no range of versions": (
        "", {"sslmode": "require", "ssl_min_protocol_version": "TLSv1.3", "ssl_max_protocol_version": "TLSv1.2"},
        "ssl_min_protocol_version is later than ssl_max_protocol_version", False),
    "direct TLS": ("", {"sslmode": "require", "sslnegotiation": "direct"},
                   "sslnegotiation=direct needs PostgreSQL 17 or later", False),
    "weak direct TLS": ("", {"sslnegotiation": "direct"}, "sslnegotiation=direct needs sslmode=require", False),
    "TLS is refused": ("plain@localhost", {"sslmode": "require"}, "the server's pg_hba.conf does not allow", False),
    "TLS is required": ("encrypted@localhost", {"sslmode": "disable"},
                        "the server's pg_hba.conf does not allow this client without TLS", False),
    "rejected": ("rejected@localhost", {}, "the server's pg_hba.conf does not allow this client", False),
    "wrong password": (f"member:{SECRET}x@localhost", {}, "the server rejected the user name or password", True),
    "expired password": (f"late:{SECRET}@localhost", {}, "the server rejected the user name or password", True),
    "no password": ("member@localhost", {}, "the server requires a password, but the URL contains none", False),
    "ident": ("identified@localhost", {}, "the server accepts only the role with the name of the user of the", False),
    "unknown role": ("nobody@localhost", {}, "the role does not exist", False),
    "role without LOGIN": ("nologin@localhost", {}, "the role may not log in: run ALTER ROLE", False),
    "connection limit": ("busy@localhost", {}, "the server has no free connection slot", True),
    "library": ("loading@localhost", {}, "the server cannot load a library", False),
    "unknown database": ("@nothing", {}, "the database does not exist", False),
    "closed database": ("@closed", {}, "the database accepts no connections", True),
    "private database": (f"member:{SECRET}@localhost@private", {}, "the role may not connect to the database", False),
    "standby wanted": ("", {"target_session_attrs": "standby"}, "this server is a primary, but target_session", False),
    "read-only wanted": ("", {"target_session_attrs": "read-only"}, "this server is a primary, but target", False),
    "writable wanted": ("", {"target_session_attrs": "read-write", "options": "-c default_transaction_read_only=on"},
                        "this server is a standby or read-only, but target_session_attrs", True),
    "unknown setting": ("", {"options": "-c nothing=1"}, "the server rejects a setting", False),
    "invalid setting": ("", {"options": f"-c work_mem={SECRET}"}, "the server rejects a setting", False),
    "setting of another type": ("", {"options": f"-c geqo={SECRET}"}, "the server rejects a setting", False),
    "setting without a value": ("", {"options": "--geqo"}, "the server rejects a setting", False),
    "forbidden setting": (f"member:{SECRET}@localhost", {"options": "-c lc_messages=C"},
                          "the role may not set a parameter", False),
    "channel binding": (f"member:{SECRET}@localhost", {"sslmode": "disable", "channel_binding": "require"},
                        "channel_binding in the URL requires TLS", False),
    "protocol": ("", {"min_protocol_version": "3.2"}, "the server supports only an older protocol", False),
    "authentication": ("", {"require_auth": "scram-sha-256"}, "the server does not use the authentication", False),
}


@pytest.mark.parametrize(("login", "options", "sentence", "temporary"), FAILURES.values(), ids=FAILURES)
def test_refused_connection_names_its_cause(
    tls: TlsServer, login: str, options: dict[str, str], sentence: str, temporary: bool
) -> None:
    user, _, rest = login.partition("@")
    host, _, database = rest.partition("@")
    if login.startswith("@"):
        user, host, database = "postgres", "localhost", rest
    named = cause(tls.url(f"{user or 'postgres'}@{host or 'localhost'}", database or "postgres", **options))
    assert named.sentence.startswith(sentence)
    assert named.temporary is temporary


@pytest.mark.parametrize(("certificate", "sentence"), [
    ("expired", "the server's certificate, or its CA's, has expired"),
    ("future", "the server's certificate is not valid yet"),
    ("itself", "the server's certificate is self-signed"),
    ("revoked", "the server's certificate has been revoked"),
    ("elsewhere", "the server's certificate is valid for another host name"),
])
def test_certificate_that_is_not_valid_names_its_cause(tls: TlsServer, certificate: str, sentence: str) -> None:
    present(tls.server, certificate)
    try:
        assert cause(tls.url(**TRUSTED, sslcrl="{c}/ca.crl")).sentence.startswith(sentence)
    finally:
        present(tls.server, "server")
    connect(Dsn.parse(tls.url(**TRUSTED, sslcrl="{c}/ca.crl"), "DATABASE_URL").parameters).close()


def test_server_without_tls_and_without_slots_says_so() -> None:
    port = free_port()
    rules = "host all all 127.0.0.1/32 trust\n"
    with second_server(rules, listen_addresses="127.0.0.1", port=str(port), max_connections="4",
                       superuser_reserved_connections="3") as server:
        url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
        assert cause(f"{url}?sslmode=require").sentence.startswith("the server does not support TLS")
        with psycopg.connect(server.dsn(), autocommit=True) as admin:
            admin.execute("CREATE ROLE member LOGIN")
            named = cause(url.replace("postgres@", "member@"))
            assert named.sentence.startswith("the server has no free connection slot")
            assert named.temporary
            others = [psycopg.connect(url) for _ in range(3)]
            assert cause(url).sentence.startswith("the server has no free connection slot")
            for other in others:
                other.close()


def test_message_in_another_language_names_the_same_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    version = installed_server().parent.name
    if not Path(f"/usr/share/locale/de/LC_MESSAGES/postgres-{version}.mo").exists():
        pytest.skip("the server's messages are not translated: its package was installed without locales")
    monkeypatch.setenv("LANGUAGE", "de")
    rules = "local all member,cleartext scram-sha-256\nlocal all cleartext password\nlocal all rejected reject\n"
    with second_server(rules, locale="C.UTF-8", lc_messages="C.UTF-8") as server:
        with psycopg.connect(server.dsn(), autocommit=True) as admin:
            admin.execute("CREATE ROLE member LOGIN PASSWORD 'x'; CREATE ROLE cleartext LOGIN PASSWORD 'x'; "
                          "CREATE ROLE rejected LOGIN; CREATE ROLE busy LOGIN CONNECTION LIMIT 0")
            with pytest.raises(psycopg.Error, match="existiert nicht"):  # the test is in vain with English messages
                admin.execute("SELECT * FROM nothing")
        for user, database, sentence, temporary in (
            (f"member:{SECRET}", "postgres", "the server rejected the user name or password", True),
            (f"cleartext:{SECRET}", "postgres", "the server rejected the user name or password", True),
            ("rejected", "postgres", "the server refused the login", False),
            ("nobody", "postgres", "the server refused the login", False),
            ("postgres", "postgres&options=-c%20geqo%3Djunk", "the server rejects a setting", False),
            ("postgres", "nothing", "the database does not exist", False),
            ("busy", "postgres", "the server has no free connection slot", True),
        ):
            database, _, options = database.partition("&")
            named = cause(f"{server.dsn(database).replace('postgres@', f'{user}@')}&{options}")
            assert named.sentence.startswith(sentence), user
            assert named.temporary is temporary, user


@contextmanager
def listener(answer: bytes, *, silent: bool = False) -> Iterator[int]:
    """Serve the answer to every connection and close it, or keep silent; yield the port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        clients = []

        def serve() -> None:
            with suppress(OSError):
                while True:
                    client, _ = server.accept()
                    clients.append(client)
                    if not silent:
                        client.recv(8)
                        client.sendall(answer)
                        client.close()

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        for client in clients:
            client.close()


@pytest.mark.parametrize(("answer", "silent", "options", "sentence", "temporary"), [
    (b"HTTP/1.1 400 Bad Request", False, "", "the program listening there is not a PostgreSQL server", False),
    (b"HTTP/1.1 400 Bad Request", False, "sslmode=disable", "the program listening there is not a Postgre", False),
    (b"", False, "", "the connection was lost while it was opened", True),
    (b"", False, "sslmode=disable", "the connection was lost while it was opened", True),
    (b"S", False, "sslmode=require", "the connection was lost while it was opened", True),
    (b"", True, "connect_timeout=1", "the server did not answer in time", True),
])
def test_listener_that_is_no_server_names_its_cause(
    answer: bytes, silent: bool, options: str, sentence: str, temporary: bool
) -> None:
    with listener(answer, silent=silent) as port:
        named = cause(f"postgresql://member:{SECRET}@127.0.0.1:{port}/private?{options}")
    assert named.sentence.startswith(sentence)
    assert named.temporary is temporary


@pytest.mark.parametrize(("url", "sentence", "temporary"), [
    ("postgresql://127.0.0.1:1/d", "no server is listening on that host and port", True),
    ("postgresql://no-such-host.invalid/d", "the host name cannot be resolved", True),
    ("postgresql://127.0.0.1:1,127.0.0.1:2/d", "no server is listening on that host and port", True),
    ("postgresql:///d?host=/no/such/directory", "the socket does not exist", True),
    ("postgresql:///d?host=/etc/passwd", "the host in the URL is not the directory of the server's socket", False),
    (f"postgresql:///d?host=/{'x' * 120}", "the host in the URL is not the directory of the server's socket", False),
    ("postgresql://a..b/d", "the host in the URL is not a valid name", False),
    ("postgresql:///d?host=a,b&port=1,2,3", "host, hostaddr and port list different numbers of servers", False),
    ("postgresql:///d?host=a&hostaddr=127.0.0.1,127.0.0.2", "host and hostaddr list different numbers", False),
    (f"postgresql://a/d?hostaddr={SECRET}", "hostaddr has an invalid value: correct it in the URL", False),
    (f"postgresql://127.0.0.1:1/d?require_auth={SECRET}", "require_auth has an invalid value: correct", False),
    (f"postgresql://127.0.0.1:1/d?scram_client_key={SECRET}", "scram_client_key or scram_server_key has", False),
    ("postgresql://?service=nothing", "the service is not defined", False),
    ("postgresql://127.0.0.1:1/d?gssencmode=require", "GSSAPI encryption or login is not possible", False),
])
def test_address_without_a_server_names_its_cause(url: str, sentence: str, temporary: bool) -> None:
    named = cause(url)
    assert named.sentence.startswith(sentence)
    assert named.temporary is temporary


@pytest.mark.parametrize("variable", [
    "PGSSLMODE", "PGHOSTADDR", "PGREQUIREAUTH", "PGCHANNELBINDING", "PGGSSENCMODE", "PGTARGETSESSIONATTRS",
    "PGLOADBALANCEHOSTS", "PGSSLMINPROTOCOLVERSION", "PGSSLNEGOTIATION", "PGSSLCERTMODE",
])
def test_invalid_environment_variable_of_libpq_is_named(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, SECRET)
    assert cause("postgresql://127.0.0.1:1/d") == Cause(
        f"the environment variable {variable} has an invalid value: correct or unset it")


@pytest.mark.parametrize(("content", "sentence"), [
    ("[a]\nhost=b\n", "the service is not defined"),
    ("[s]\nhosst=b\n", "the service file has a syntax error"),
    ("[s]\nservice=a\n", "the service file has a syntax error"),
    (f"[s]\nhost=b\nport={SECRET}\n", "port has an invalid value: correct it in the URL or in the service file"),
])
def test_service_file_that_is_not_valid_is_named(
    content: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "services").write_text(content)
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services"))
    assert cause("postgresql://?service=s").sentence.startswith(sentence)


@pytest.mark.parametrize(("mode", "line", "sentence"), [
    (0o644, f"*:*:*:*:{SECRET}", "the server requires a password, and the password file is ignored because others"),
    (0o600, f"*:*:*:other:{SECRET}", "the server requires a password, but the URL contains none, and no line of the"),
    (0o600, f"*:*:*:*:{SECRET}x", "the server rejected the user name or password"),
])
def test_password_file_that_does_not_help_is_named(
    mode: int, line: str, sentence: str, tls: TlsServer, tmp_path: Path
) -> None:
    file = tmp_path / "passwords"
    file.write_text(line)
    file.chmod(mode)
    assert cause(tls.url("member@localhost", passfile=str(file))).sentence.startswith(sentence)


def test_socket_and_role_of_the_operating_system_are_named(tls: TlsServer) -> None:
    socket_url = tls.server.dsn().replace("postgres@", "identified@")
    assert cause(socket_url).sentence.startswith("the server accepts only the role with the name of the user")
    assert cause(f"{tls.server.dsn()}&requirepeer={SECRET}").sentence.startswith("another user of the operating system")
    assert cause(tls.url().replace("postgres@", "")).sentence.startswith("the URL names no user")


def test_standby_wanted_by_the_environment_is_named(tls: TlsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGTARGETSESSIONATTRS", "standby")
    assert "PGTARGETSESSIONATTRS" in cause(tls.url()).sentence
