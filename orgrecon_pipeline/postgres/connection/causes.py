"""Causes of failed connections, by the messages of libpq, psycopg, the server and pgbouncer.

libpq gives no SQLSTATE for a failed connection, so these texts decide. Each pattern matches from the beginning of a
message, because a message quotes names: a database named "SSL" must not look like a failure of TLS.
"""

from __future__ import annotations

import re
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


_LOST = Cause("the connection was lost while it was opened: check the server's log, and the proxy or pooler before it",
              temporary=True)
_PASSWORD = Cause(
    "the server rejected the user name or password, or the password has expired: correct them in the URL, or set a new "
    "one with ALTER ROLE … PASSWORD … VALID UNTIL …", temporary=True)
_NO_SLOT = Cause("the server has no free connection slot: close sessions, or raise max_connections or the CONNECTION "
                 "LIMIT of the role or database", temporary=True)
_NO_DATABASE = Cause("the database does not exist: create it, or correct its name in the URL")
_LISTENER = Cause("the program listening there is not a PostgreSQL server: correct the host and port in the URL")
_REFUSED = Cause("the server refused the login: let this role log in from here, in pg_hba.conf or the pooler's "
                 "auth_file")
_NOT_WRITABLE = Cause("this server is a standby or read-only, but target_session_attrs in the URL, or "
                      "PGTARGETSESSIONATTRS, asks for one that can be written: name the primary", temporary=True)
_WRITABLE = Cause("this server is a primary, but target_session_attrs in the URL, or PGTARGETSESSIONATTRS, asks for a "
                  "standby or a read-only server: name a standby, or unset it")
_KEY = Cause("the private key of the client certificate cannot be used: name the key that belongs to sslcert with "
             "sslkey, and let only its owner read it (chmod 600)")
_CLIENT_CERTIFICATE = Cause(
    "the server requires a client certificate: name one that it accepts with sslcert and sslkey in the URL")
_CONFIGURED = Cause("a parameter of the URL or a PG… environment variable has an invalid value: correct it")
_TIMEOUT = Cause("the server did not answer in time: check the host and port in the URL, and firewalls", temporary=True)

# Errors of the server and of pgbouncer, which come after "FATAL:  ".
_FATAL = [
    (r"password authentication failed|(?:SASL|LDAP|RADIUS|PAM|BSD) authentication failed"
     r"|empty password returned by client", _PASSWORD),
    (r"(?:\S+ )?authentication failed", _REFUSED),
    (r"(?:no pg_hba\.conf entry|pg_hba\.conf rejects connection) for .*, (?:no encryption|SSL off)", Cause(
        "the server's pg_hba.conf does not allow this client without TLS: set sslmode=require or stricter in the URL, "
        "or add an entry to pg_hba.conf")),
    (r"no pg_hba\.conf entry|pg_hba\.conf rejects", Cause(
        "the server's pg_hba.conf does not allow this client: add an entry for its role, database and address")),
    (r"connection requires a valid client certificate", _CLIENT_CERTIFICATE),
    (r"sorry, too many clients|remaining connection slots|too many connections for|no more connections allowed",
     _NO_SLOT),
    (r"the database system is starting up|the database system is not yet accepting connections", Cause(
        "the server is starting up: wait until it accepts connections", temporary=True)),
    (r"the database system is shutting down", Cause(
        "the server is shutting down: start it again", temporary=True)),
    (r"the database system is in recovery mode|the database system is not accepting connections", Cause(
        "the server is in recovery and accepts no connections yet: wait until it does", temporary=True)),
    (r"terminating connection|query_wait_timeout|pgbouncer cannot connect to server|server login has been failing"
     r"|server login failed|client_login_timeout|server_login_retry|server conn crashed|database .* is disabled"
     r"|the server is shutting down", Cause(
         "the server or its pooler ended the connection: check whether the server accepts connections",
         temporary=True)),
    (r'database ".*" does not exist|no such database', _NO_DATABASE),
    (r'database ".*" is not currently accepting connections', Cause(
        "the database accepts no connections: run ALTER DATABASE … ALLOW_CONNECTIONS true", temporary=True)),
    (r'cannot connect to invalid database', Cause("the database was only half dropped: drop it, and restore it")),
    (r'role ".*" does not exist|no such user', Cause(
        "the role does not exist: create it, or correct the user name in the URL")),
    (r'role ".*" is not permitted to log in', Cause(
        "the role may not log in: run ALTER ROLE … LOGIN, or name another user in the URL")),
    (r'permission denied for database', Cause(
        "the role may not connect to the database: run GRANT CONNECT ON DATABASE … TO …")),
    (r"permission denied to set parameter", Cause(
        "the role may not set a parameter that options in the URL sets: remove it from the URL")),
    (r"could not access file", Cause(
        "the server cannot load a library that the role or the database requires: install it there, or correct "
        "session_preload_libraries")),
    (r"unrecognized configuration parameter|invalid command-line argument", Cause(
        "the server does not know a setting that the URL or the role sets: correct options in the URL")),
    (r"invalid value for parameter", Cause(
        "the server rejects the value of a setting that the URL or the role sets: correct it")),
    (r"unsupported startup parameter", Cause(
        "the pooler does not accept options in the URL: remove them, or add them to ignore_startup_parameters of "
        "pgbouncer")),
]

# Errors of libpq and psycopg.
_CLIENT = [
    # TLS
    (r'root certificate file ".*" does not exist|could not get home directory to locate root certificate file', Cause(
        "sslmode asks to verify the server's certificate, but there is no root certificate: name the file of its CA "
        "with sslrootcert in the URL, or set sslrootcert=system")),
    (r"could not (?:read|load) (?:system )?root certificate", Cause(
        "the root certificate file cannot be read or holds no certificate: correct sslrootcert in the URL")),
    # The second and third patterns match an authority with the same name and another key.
    (r"SSL error: (?:certificate verify failed|.*signature failure|bad signature)", Cause(
        "the server's certificate cannot be verified, because it has expired or another CA issued it: renew it, or "
        "name the file of its CA with sslrootcert in the URL")),
    (r'server certificate for ".*" .*does not match host name|could not get server\'s host name', Cause(
        "the server's certificate is valid for another host name: use a name that it lists as the host in the URL, or "
        "issue it for this one")),
    (r"server does not support SSL, but SSL was required", Cause(
        "the server does not support TLS, but sslmode requires it: set ssl = on there, or lower sslmode in the URL")),
    (r"SSL error: .*alert (?:certificate required|handshake failure)", _CLIENT_CERTIFICATE),
    (r"SSL error: .*alert (?:unknown ca|decrypt error|bad certificate|(?:unsupported |unknown )?certificate)", Cause(
        "the server does not accept the client certificate: name one that its CA issued and that is valid, with "
        "sslcert in the URL")),
    (r"certificate present, but not private key|(?:could not (?:read|load) )?private key|certificate does not match "
     r"private key", _KEY),
    (r"could not (?:read|open|load) certificate", Cause(
        "the client certificate cannot be read: correct sslcert in the URL")),
    (r"weak sslmode", Cause("sslrootcert=system needs sslmode=verify-full: set it in the URL")),
    (r"SSL error: (?:no protocols available|.*protocol version|unsupported protocol|wrong version number)", Cause(
        "client and server have no TLS version in common: change ssl_min_protocol_version or "
        "ssl_max_protocol_version in the URL")),
    (r"SSL error: unexpected eof|SSL SYSCALL error|SSL connection has been closed", _LOST),
    (r"SSL error", Cause("the TLS connection failed: compare sslmode in the URL with the TLS settings of the server")),
    # authentication
    (r"(?:fe_sendauth: )?no password supplied", Cause(
        "the server requires a password, but the URL contains none: add it")),
    (r"authentication method requirement", Cause(
        "the server does not use the authentication that require_auth in the URL demands: correct it")),
    (r"channel binding ", Cause(
        "channel_binding in the URL requires TLS and a SCRAM password: use both, or remove it")),
    (r"GSSAPI encryption required|GSSAPI ", Cause(
        "GSSAPI encryption or login is not possible: correct gssencmode in the URL, or obtain a ticket")),
    # kind of server
    (r"session is read-only|server is in hot standby mode", _NOT_WRITABLE),
    (r"session is not read-only|server is not in hot standby mode", _WRITABLE),
    (r"received invalid response|expected authentication request", _LISTENER),
    # network
    (r"failed to resolve host|could not translate host name", Cause(
        "the host name cannot be resolved: correct it in the URL, or check DNS", temporary=True)),
    (r"Connection refused", Cause(
        "no server is listening on that host and port: start it, or correct the URL", temporary=True)),
    (r"No such file or directory", Cause(
        "the socket does not exist: start the server, or correct the host in the URL", temporary=True)),
    (r"Permission denied", Cause("this user may not open the server's socket: grant the permission, or use TCP")),
    (r"connection timeout expired|timeout expired|Connection timed out|Operation timed out", _TIMEOUT),
    (r"No route to host|Network is (?:unreachable|down)|Host is (?:down|unreachable)", Cause(
        "the network does not reach the server: check the host in the URL, routes and firewalls", temporary=True)),
    (r"server closed the connection|could not (?:send|receive) data|Connection reset|Broken pipe", _LOST),
    # parameters
    (r'definition of service ".*" not found|service file', Cause(
        "the service is not defined: add it to pg_service.conf, or correct service in the URL")),
    (r"invalid (?:\S+ )?value|invalid integer value|could not match|invalid port", _CONFIGURED),
]

_CAUSES = [
    *((re.compile(rf"FATAL: +(?:{pattern})"), cause) for pattern, cause in _FATAL),
    *((re.compile(pattern), cause) for pattern, cause in _CLIENT),
]
# What comes before a message: psycopg's words, and the address that was tried.
_BEFORE = re.compile(
    r"(?:- host: .*?, hostaddr: .*?: )?(?:connection failed: |connection is bad: )?"
    r'(?:connection to server (?:at|on socket) ".*?"(?: \(.*?\))?(?:, port \d+)? failed: )?')
# The severity of a server's message in any language.
_SEVERITY = re.compile(r"[^\s:]+: {2}")


def known_cause(text: str) -> Cause | None:
    """Return the cause of a failed connection by its message; None if the message is not known.

    If several addresses were tried, a temporary cause takes precedence, because that address can succeed later.
    """
    causes = [next((cause for pattern, cause in _CAUSES if pattern.match(message)), None)
              for message in _messages(text)]
    known = [cause for cause in causes if cause]
    return next((cause for cause in known if cause.temporary), next(iter(known), None))


def is_from_server(text: str) -> bool:
    """Return whether a server sent the message, in any language."""
    return any(map(_SEVERITY.match, _messages(text)))


def _messages(text: str) -> list[str]:
    """Return the lines of a text without the addresses. Lines with hints match no pattern."""
    return [_BEFORE.sub("", line, count=1) for line in text.splitlines()]
