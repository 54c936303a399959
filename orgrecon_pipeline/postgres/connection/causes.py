"""Causes of failed connections, by the messages of libpq, psycopg, the server and pgbouncer.

libpq gives no SQLSTATE for a failed connection, so these texts decide. Each pattern matches from the beginning of a
message, because a message quotes names: a database named "SSL" must not look like a failure of TLS.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from types import MappingProxyType

from orgrecon_pipeline.postgres.connection.certificate import unverified_certificate
from orgrecon_pipeline.postgres.connection.failure import Cause
from orgrecon_pipeline.postgres.connection.parameters import (
    Parameters,
    invalid_value,
    missing_password,
    unknown_role,
    value,
)

# A cause, or a function that finds it by the parameters of the connection, and by the named groups of the message.
_Found = Cause | Callable[..., Cause]


_LOST = Cause("the connection was lost while it was opened: check the server's log, and the proxy or pooler before it",
              temporary=True)
_PASSWORD = Cause(
    "the server rejected the user name or password, or the password has expired: correct them in the URL or "
    "the password file, or set a new one with ALTER ROLE … PASSWORD … VALID UNTIL …", temporary=True)
_NO_SLOT = Cause("the server has no free connection slot: close sessions, or raise max_connections or the CONNECTION "
                 "LIMIT of the role or database", temporary=True)
_NO_DATABASE = Cause("the database does not exist: create it, or correct its name in the URL")
_CLOSED = Cause("the database accepts no connections: run ALTER DATABASE … ALLOW_CONNECTIONS true", temporary=True)
_LIBRARY = Cause("the server cannot load a library that the role or the database requires: install it there, or "
                 "correct session_preload_libraries")
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
_TIMEOUT = Cause("the server did not answer in time: check the host and port in the URL, firewalls and, if there is a "
                 "pooler, whether it reaches the server", temporary=True)
_OTHER_CERTIFICATE = Cause("the client certificate belongs to another role: name one whose common name is the user "
                           "in the URL, or add a mapping to pg_ident.conf")
_SETTING = Cause("the server rejects a setting that the URL, PGOPTIONS or another PG… environment variable, or the "
                 "role sets: correct it")
_REQUIRE_AUTH = Cause("the server does not use the authentication that require_auth in the URL demands: correct it")
_SERVICE = Cause("the service is not defined: add it to pg_service.conf, or correct service in the URL")


def _unexpected_end(parameters: Parameters) -> Cause:
    if value("sslnegotiation", parameters) == "direct":
        return Cause("sslnegotiation=direct needs PostgreSQL 17 or later: remove it from the URL")
    return _LOST


# Errors of the server and of pgbouncer, which come after "FATAL:  ".
_FATAL: list[tuple[str, _Found]] = [
    (r"password authentication failed|(?:SASL|LDAP|RADIUS|PAM|BSD) authentication failed"
     r"|empty password returned by client", _PASSWORD),
    (r'(?:certificate|"trust") authentication failed for user', _OTHER_CERTIFICATE),
    (r"(?:Peer|Ident) authentication failed", Cause(
        "the server accepts only the role with the name of the user of the operating system (peer or ident in "
        "pg_hba.conf): connect over TCP with a password, or add a mapping to pg_ident.conf")),
    (r"(?:\S+ )?authentication failed|login rejected", _REFUSED),
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
    (r'database ".*" does not exist', _NO_DATABASE),
    (r"no such database|bouncer config error", Cause(
        "the pooler does not know the database: add it to the section [databases] of pgbouncer, or correct its name in "
        "the URL")),
    (r'database ".*" is not currently accepting connections', _CLOSED),
    (r'cannot connect to invalid database', Cause("the database was only half dropped: drop it, and restore it")),
    (r'role ".*" does not exist|no such user', unknown_role),
    (r"Tenant or user not found", Cause(
        "the pooler does not know the user or the project: correct the user name in the URL")),
    (r".*(?:SSL connection is required|requires TLS connections|connection is insecure)", Cause(
        "the server requires TLS: set sslmode=require or stricter in the URL")),
    (r'role ".*" is not permitted to log in', Cause(
        "the role may not log in: run ALTER ROLE … LOGIN, or name another user in the URL")),
    (r'permission denied for database', Cause(
        "the role may not connect to the database: run GRANT CONNECT ON DATABASE … TO …")),
    (r"permission denied to set parameter", Cause(
        "the role may not set a parameter that options in the URL sets: remove it from the URL")),
    (r"could not access file", _LIBRARY),
    (r"unrecognized configuration parameter|invalid command-line argument|invalid value for parameter|\S+ requires a "
     r'|parameter "\S+" requires a ', _SETTING),
    (r"unsupported startup parameter", Cause(
        "the pooler does not accept options in the URL: remove them, or add them to ignore_startup_parameters of "
        "pgbouncer")),
]

# Errors of libpq and psycopg.
_CLIENT: list[tuple[str, _Found]] = [
    # TLS
    (r'root certificate file ".*" does not exist|could not get home directory to locate root certificate file', Cause(
        "sslmode asks to verify the server's certificate, but there is no root certificate: name the file of its CA "
        "with sslrootcert in the URL, or set sslrootcert=system")),
    (r"could not (?:read|load) (?:system )?root certificate", Cause(
        "the root certificate file cannot be read or holds no certificate: correct sslrootcert in the URL")),
    # The second and third patterns match an authority with the same name and another key.
    (r"SSL error: (?:certificate verify failed|.*signature failure|bad signature)", unverified_certificate),
    (r'server certificate for ".*" .*does not match host name|could not get server\'s host name', Cause(
        "the server's certificate is valid for another host name: use a name that it lists as the host in the URL, or "
        "issue it for this one")),
    (r"server does not support SSL, but SSL was required", Cause(
        "the server does not support TLS, but sslmode requires it: set ssl = on there, or lower sslmode in the URL")),
    (r"SSL error: .*alert (?:certificate required|handshake failure)", _CLIENT_CERTIFICATE),
    (r"SSL error: .*alert (?:unknown ca|decrypt error|bad certificate|(?:unsupported |unknown )?certificate)", Cause(
        "the server does not accept the client certificate: name one that its CA issued and that is valid, with "
        "sslcert in the URL")),
    (r"could not load private key file .*(?:bad decrypt|processing error|password)", Cause(
        "the private key of the client certificate is encrypted: give its password with sslpassword in the URL")),
    (r"certificate present, but not private key|(?:could not (?:read|load|stat) )?private (?:SSL )?key"
     r"|certificate does not match private key", _KEY),
    (r"could not (?:read|open|load) certificate", Cause(
        "the client certificate cannot be read: correct sslcert in the URL")),
    (r"server accepted connection without a valid SSL certificate", Cause(
        "sslcertmode=require demands a client certificate, but none was sent: name it with sslcert and sslkey, or "
        "remove sslcertmode")),
    (r"weak sslmode .*sslnegotiation", Cause(
        "sslnegotiation=direct needs sslmode=require or stricter: set it in the URL")),
    (r"invalid SSL protocol version range", Cause(
        "ssl_min_protocol_version is later than ssl_max_protocol_version: correct them in the URL")),
    (r"weak sslmode", Cause("sslrootcert=system needs sslmode=verify-full: set it in the URL")),
    (r"SSL error: (?:no protocols available|.*protocol version|unsupported protocol|wrong version number)", Cause(
        "client and server have no TLS version in common: change ssl_min_protocol_version or "
        "ssl_max_protocol_version in the URL")),
    (r"SSL error: unexpected eof|direct SSL connection was established without ALPN", _unexpected_end),
    (r"could not set (?:min|max)imum SSL protocol version", Cause(
        "OpenSSL does not support ssl_min_protocol_version or ssl_max_protocol_version: correct them in the URL")),
    (r"host name must be specified for a verified", Cause(
        "sslmode=verify-full needs the name of the server: name the host in the URL, besides hostaddr")),
    (r"received unencrypted data after", Cause(
        "something between client and server inserted data into the connection: check the network and its proxies")),
    (r"server sent an error response during", Cause(
        "the server, or a proxy before it, refuses the connection before TLS begins: see its log", temporary=True)),
    (r"SSL SYSCALL error|SSL connection has been closed", _LOST),
    (r"SSL error", Cause("the TLS connection failed: compare sslmode in the URL with the TLS settings of the server")),
    # authentication
    (r"(?:fe_sendauth: )?no password supplied", missing_password),
    (r"requirepeer specifies", Cause(
        "another user of the operating system runs the server than requirepeer demands: correct requirepeer in the "
        "URL, or PGREQUIREPEER, or the directory of the socket")),
    (r"authentication method requirement", _REQUIRE_AUTH),
    (r"server did not complete authentication", _REQUIRE_AUTH),
    (r'(?P<name>require_auth) method ".*"', invalid_value),
    (r"(?:none of the server's SASL )?authentication (?:mechanisms are|method \d+) (?:not )?supported"
     r"|\w+(?: \d)? authentication not supported", Cause(
         "libpq does not support the authentication method of the server: change it in pg_hba.conf")),
    (r"server requires OAuth|no OAuth flows|OAuth discovery|server rejected OAuth", Cause(
        "the server requires OAuth: correct oauth_issuer and oauth_client_id in the URL, or let the role log in with a "
        "password")),
    (r"could not verify server signature|incorrect server signature|malformed SCRAM message", Cause(
        "the server cannot prove that it knows the password: check that the host in the URL, or a proxy before it, is "
        "the right one")),
    (r"local user with ID|could not look up local user", Cause(
        "the URL names no user, and the user of the operating system has no name: write postgresql://user:password@…")),
    (r"channel binding ", Cause(
        "channel_binding in the URL requires TLS and a SCRAM password: use both, or remove it")),
    (r"GSSAPI |could not initiate GSSAPI|server doesn't support GSSAPI", Cause(
        "GSSAPI encryption or login is not possible: correct gssencmode in the URL, or obtain a ticket")),
    # kind of server
    (r"session is read-only|server is in hot standby mode", _NOT_WRITABLE),
    (r"session is not read-only|server is not in hot standby mode", _WRITABLE),
    (r"received invalid|expected authentication request|unexpected message from server|lost synchronization"
     r"|Unknown authentication message", _LISTENER),
    # network
    (r"server only supports protocol version", Cause(
        "the server supports only an older protocol: remove min_protocol_version from the URL")),
    (r"encoding with 'idna' codec failed", Cause("the host in the URL is not a valid name: correct it")),
    (r"Not a directory|Unix-domain socket path", Cause(
        "the host in the URL is not the directory of the server's socket: correct it")),
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
    (r"could not create socket", Cause(
        "the system has no more sockets, or does not support the server's kind of address: check its limits, and the "
        "host in the URL", temporary=True)),
    (r"server closed the connection|write to server failed|could not (?:send|receive) data|Connection reset"
     r"|Broken pipe", _LOST),
    # parameters
    (r'syntax error in service file|line \d+ too long in service file|nested service specifications', Cause(
        "the service file has a syntax error: correct pg_service.conf, or the file that PGSERVICEFILE names")),
    (r'definition of service ".*" not found|service file', _SERVICE),
    (r'invalid integer value ".*" for connection option "(?P<name>\w+)"', invalid_value),
    (r'invalid "?(?P<name>\w+)"? value', invalid_value),
    (r"invalid (?P<name>port) number", invalid_value),
    (r"could not match .* to .*hosts?(?:addr)?", Cause(
        "host, hostaddr and port list different numbers of servers: name as many of each, or only one port")),
    (r"could not match", Cause("host and hostaddr list different numbers of servers: name as many of each")),
    (r"could not parse network address", partial(invalid_value, name="hostaddr")),
    (r"invalid SCRAM", Cause("scram_client_key or scram_server_key has an invalid value: correct it in the URL")),
]

# The patterns are compiled when a connection fails.
_CAUSES = [
    *((rf"FATAL: +(?:{pattern})", cause) for pattern, cause in _FATAL),
    *_CLIENT,
]
# Causes of a server whose messages are in another language, by SQLSTATE. Other states have more than one cause.
_BY_STATE = {
    "22023": _SETTING, "22P02": _SETTING, "28P01": _PASSWORD, "3D000": _NO_DATABASE, "42601": _SETTING,
    "42704": _SETTING, "53300": _NO_SLOT, "55000": _CLOSED, "58P01": _LIBRARY,
    "28000": Cause("the server refused the login: check that the role exists and may log in, and that pg_hba.conf "
                   "lets it in from here"),
    "42501": Cause("the role lacks a permission: run GRANT CONNECT ON DATABASE … TO …, and remove settings from the "
                   "URL that only a superuser may set"),
    "57P03": Cause("the server is starting up, shutting down or in recovery: wait until it accepts connections",
                   temporary=True),
}
# What comes before a message: psycopg's words, and the address that was tried.
_BEFORE = re.compile(
    r"(?:- host: .*?, hostaddr: .*?: )?(?:connection failed: |connection is bad: )?"
    r'(?:connection to server (?:at|on socket) ".*?"(?: \(.*?\))?(?:, port \d+)? failed: )?')
# The severity of a server's message in any language.
_SEVERITY = re.compile(r"[^\s:]+: {2}")


def known_cause(text: str, parameters: Parameters = MappingProxyType({})) -> Cause | None:
    """Return the cause of a failed connection by its message; None if the message is not known.

    If several addresses were tried, a temporary cause takes precedence, because that address can succeed later.
    ``parameters`` of the URL tell some causes apart.
    """
    known = [cause for message in _messages(text) if (cause := _cause_of(message, parameters))]
    return next((cause for cause in known if cause.temporary), next(iter(known), None))


def _cause_of(message: str, parameters: Parameters) -> Cause | None:
    for pattern, cause in _CAUSES:
        if match := re.match(pattern, message):
            return cause if isinstance(cause, Cause) else cause(parameters, **match.groupdict())
    return None


def cause_by_state(state: str) -> Cause | None:
    """Return the cause of a connection that a server refuses, by SQLSTATE; None if the state does not tell it."""
    return _BY_STATE.get(state)


def is_from_server(text: str) -> bool:
    """Return whether a server sent the message, in any language."""
    return any(map(_SEVERITY.match, _messages(text)))


def _messages(text: str) -> list[str]:
    """Return the lines of a text without the addresses. Lines with hints match no pattern."""
    return [_BEFORE.sub("", line, count=1) for line in text.splitlines()]
