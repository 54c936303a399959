"""Messages of libpq, servers and poolers: the cause of each is recognised from its beginning."""

from __future__ import annotations

import pytest

from orgrecon_pipeline.postgres.connection.causes import known_cause

AT = 'connection failed: connection to server at "127.0.0.1", port 5432 failed: '


@pytest.mark.parametrize(("text", "sentence", "temporary"), [
    # of other versions of the server and of libpq, and of moments that a test cannot hold
    (f"{AT}FATAL:  the database system is starting up", "the server is starting up", True),
    (f"{AT}FATAL:  the database system is not yet accepting connections\nDETAIL:  Consistent recovery state has not "
     "been yet reached.", "the server is starting up", True),
    (f"{AT}FATAL:  the database system is not accepting connections\nDETAIL:  Hot standby mode is disabled.",
     "the server is in recovery", True),
    (f"{AT}FATAL:  the database system is in recovery mode", "the server is in recovery", True),
    (f"{AT}FATAL:  the database system is shutting down", "the server is shutting down", True),
    (f"{AT}FATAL:  remaining connection slots are reserved for roles with the SUPERUSER attribute",
     "the server has no free connection slot", True),
    (f"{AT}FATAL:  sorry, too many clients already", "the server has no free connection slot", True),
    (f'{AT}FATAL:  too many connections for database "d"', "the server has no free connection slot", True),
    (f"{AT}FATAL:  terminating connection due to administrator command", "the server or its pooler ended", True),
    ("failed to resolve host 'db': [Errno -3] Temporary failure in name resolution", "the host name cannot", True),
    (f"{AT}No route to host\n\tIs the server running on that host and accepting TCP/IP connections?",
     "the network does not reach the server", True),
    (f'{AT}FATAL:  no pg_hba.conf entry for host "10.0.0.1", user "u", database "d", SSL off',
     "the server's pg_hba.conf does not allow this client without TLS", False),
    (f"{AT}server is in hot standby mode", "this server is a standby or read-only", True),
    (f"{AT}SSL error: tlsv13 alert certificate required", "the server requires a client certificate", False),
    (f"{AT}FATAL:  no more connections allowed (max_client_conn)", "the server has no free connection slot", True),
    (f"{AT}FATAL:  query_wait_timeout", "the server or its pooler ended the connection", True),
    (f"{AT}FATAL:  no such database: d", "the pooler does not know the database", False),
    (f"{AT}FATAL:  bouncer config error", "the pooler does not know the database", False),
    (f"{AT}FATAL:  login rejected", "the server refused the login", False),
    (f'{AT}FATAL:  "trust" authentication failed', "the server refused the login", False),
    (f"{AT}FATAL:  Tenant or user not found", "the pooler does not know the user or the project", False),
    (f"{AT}FATAL:  This RDS Proxy requires TLS connections", "the server requires TLS", False),
    (f"{AT}FATAL:  connection is insecure (try using `sslmode=require`)", "the server requires TLS", False),
    (f"{AT}FATAL:  unsupported startup parameter: options", "the pooler does not accept options", False),
    ('connection is bad: connection to server at "db" (10.0.0.1), port 5432 failed: Connection refused',
     "no server is listening", True),
    (f"{AT}direct SSL connection was established without ALPN protocol negotiation extension",
     "the connection was lost while it was opened", True),
    (f"{AT}server doesn't support GSSAPI encryption, but it was required", "GSSAPI encryption or login", False),
    (f"{AT}server did not complete authentication", "the server does not use the authentication that require", False),
    ('require_auth method "x" is specified more than once', "require_auth has an invalid value", False),
    (f"{AT}none of the server's SASL authentication mechanisms are supported", "libpq does not support", False),
    (f"{AT}authentication method 13 not supported", "libpq does not support the authentication method", False),
    (f"{AT}Kerberos 5 authentication not supported", "libpq does not support the authentication method", False),
    (f"{AT}server requires OAuth authentication, but oauth_issuer and oauth_client_id are not both set",
     "the server requires OAuth", False),
    (f"{AT}incorrect server signature", "the server cannot prove that it knows the password", False),
    ("local user with ID 1000680000 does not exist", "the URL names no user, and the user of the operating", False),
    (f"{AT}host name must be specified for a verified SSL connection", "sslmode=verify-full needs the name", False),
    (f"{AT}received unencrypted data after SSL response", "something between client and server inserted data", False),
    (f"{AT}server sent an error response during SSL exchange", "the server, or a proxy before it, refuses", True),
    (f"{AT}received invalid protocol negotiation message", "the program listening there is not a PostgreSQL", False),
    (f"{AT}could not create socket: Address family not supported by protocol", "the system has no more sockets", True),
    (f'{AT}could not load private SSL key "x" from engine "y": z', "the private key of the client certificate", False),
    ('line 3 too long in service file "/x"', "the service file has a syntax error", False),
    # names and addresses that look like another cause
    (f'{AT}FATAL:  database "SSL timeout closed" does not exist', "the database does not exist", False),
    (f'{AT}FATAL:  role "too many clients" does not exist', "the role does not exist", False),
    ('connection failed: connection to server at "SSL", port 5432 failed: FATAL:  database "x" does not exist',
     "the database does not exist", False),
    ('connection is bad: connection to server on socket "/starting up/.s.PGSQL.5432" failed: No such file or directory',
     "the socket does not exist", True),
    # several addresses: the one that can come back counts
    (f'{AT}FATAL:  database "x" does not exist\nMultiple connection attempts failed. All failures were:\n'
     "- host: 'a', port: '1', hostaddr: '127.0.0.1': connection failed: connection to server at \"127.0.0.1\", port 1 "
     "failed: Connection refused\n\tIs the server running on that host and accepting TCP/IP connections?\n"
     f"- host: 'b', port: '2', hostaddr: '127.0.0.1': {AT}FATAL:  database \"x\" does not exist",
     "no server is listening", True),
])
def test_message_is_read_from_its_beginning(text: str, sentence: str, temporary: bool) -> None:
    named = known_cause(text, {"user": "u"})
    assert named is not None
    assert named.sentence.startswith(sentence)
    assert named.temporary is temporary


def test_unknown_message_has_no_known_cause() -> None:
    assert known_cause(f"{AT}FATAL:  unsupported frontend protocol 1234.5679") is None
    assert known_cause("") is None
