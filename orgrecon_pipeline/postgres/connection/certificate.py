"""Why the certificate of a server cannot be verified. libpq reports only that it cannot."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path

from orgrecon_pipeline.postgres.connection.failure import Cause
from orgrecon_pipeline.postgres.connection.parameters import Parameters, value

_SECONDS = 10.0
# Asks the server to continue with TLS: the length of the message, and its code.
_SSL_REQUEST = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"

_OTHER_AUTHORITY = Cause("a CA that is not in sslrootcert issued the server's certificate: name the file of its CA "
                         "with sslrootcert in the URL")
_OTHER_LIST = Cause("sslcrl does not contain the revocation list of the CA that issued the server's certificate: add "
                    "it, or remove sslcrl")
# By the error code of OpenSSL (X509_V_ERR_…).
_CAUSES = {
    3: _OTHER_LIST,
    7: _OTHER_AUTHORITY,
    8: _OTHER_LIST,
    9: Cause("the server's certificate is not valid yet: correct the clock of this machine, or issue another one"),
    10: Cause("the server's certificate, or its CA's, has expired: renew it"),
    12: Cause("the certificate revocation list in sslcrl has expired: renew it"),
    18: Cause("the server's certificate is self-signed: copy it from the server, and name the file with sslrootcert in "
              "the URL"),
    19: _OTHER_AUTHORITY,
    20: _OTHER_AUTHORITY,
    21: _OTHER_AUTHORITY,
    23: Cause("the server's certificate has been revoked: issue another one"),
}
_UNKNOWN = Cause("the server's certificate cannot be verified, because it has expired or another CA issued it: renew "
                 "it, or name the file of its CA with sslrootcert in the URL")


def unverified_certificate(parameters: Parameters) -> Cause:
    """Ask the server for its certificate once more, and return why it cannot be verified."""
    import ssl

    with suppress(OSError, ValueError):
        try:
            _verify(parameters)
        except ssl.SSLCertVerificationError as error:
            return _CAUSES.get(error.verify_code, _UNKNOWN)
    return _UNKNOWN


def _verify(parameters: Parameters) -> None:
    import ssl  # only here, because nearly no connection needs it

    host = value("host", parameters)  # of several hosts, it is not known which one failed
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    root = value("sslrootcert", parameters)
    if root == "system":
        context.set_default_verify_paths()
    else:
        context.load_verify_locations(root or _default_file("root.crt"))
    revoked = value("sslcrl", parameters) or _default_file("root.crl")
    if os.path.exists(revoked):
        context.load_verify_locations(revoked)
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN
    address = (value("hostaddr", parameters) or host, int(value("port", parameters) or 5432))
    with socket.create_connection(address, timeout=_SECONDS) as connection:
        connection.sendall(_SSL_REQUEST)
        if connection.recv(1) == b"S":
            context.wrap_socket(connection, server_hostname=host).close()


def _default_file(name: str) -> str:
    return str(Path.home() / ".postgresql" / name)
