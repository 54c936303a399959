"""HTTP access to the GraphQL endpoint of a Dagster web server, whose responses are not trusted."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from orgrecon_pipeline.domain.errors import ConfigurationError

TOKEN_VARIABLE = "ORGRECON_DAGSTER_TOKEN"
HEADER_VARIABLE = "ORGRECON_DAGSTER_TOKEN_HEADER"
#: The header in which Dagster+ expects a token.
DEFAULT_HEADER = "Dagster-Cloud-Api-Token"

_SECONDS = 15.0
_MAX_BYTES = 2_000_000
_HEADER_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,99}")
# Headers that belong to the request itself.
_OWN_HEADERS = {"accept", "connection", "content-length", "content-type", "host", "transfer-encoding"}


class NotConfirmed(Exception):
    """Why Dagster does not confirm that the gate is open: a sentence without its full stop."""


@dataclass(frozen=True)
class DagsterServer:
    """A web server of Dagster, and the header with the token that it asks for; the header is empty without a token."""

    endpoint: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def at(cls, url: str, environ: Mapping[str, str]) -> DagsterServer:
        """Return the server at ``url``, with the token of the environment.

        Args:
            url: the address of the web server; a path prefix and ``/graphql`` are optional.
            environ: the environment variables.

        Raises:
            ConfigurationError: if ``url`` is not a web address, or the token or its header cannot be sent.
        """
        return cls(_endpoint(url), _token_header(environ))

    def query(self, text: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """Return the data of a GraphQL query; raise NotConfirmed if there is no complete response without an error."""
        body = json.dumps({"query": text, "variables": variables}).encode()
        response = parse_json(self._post(body))
        if not isinstance(response, dict) or response.get("errors") or not isinstance(response.get("data"), dict):
            raise NotConfirmed("GraphQL returned an error")
        data: dict[str, Any] = response["data"]
        return data

    def _post(self, content: bytes) -> bytes:
        headers = {"Content-Type": "application/json", "Accept": "application/json", **self.headers}
        request = Request(self.endpoint, data=content, headers=headers, method="POST")  # noqa: S310 (scheme is checked)
        deadline = time.monotonic() + _SECONDS
        try:
            with build_opener(_NoRedirect).open(request, timeout=_SECONDS) as response:
                if response.status != 200:
                    raise NotConfirmed(f"the web server responded with HTTP {response.status}")
                if response.headers.get_content_type() in ("text/html", "application/xhtml+xml"):
                    raise NotConfirmed(f"the web server sent a web page, such as a login page: {self._advice}")
                body = b""
                while chunk := response.read1(65536):
                    body += chunk
                    if len(body) > _MAX_BYTES or time.monotonic() > deadline:
                        raise NotConfirmed("the response is too long or too slow")
                if response.length:
                    raise NotConfirmed("the response is incomplete")
        except NotConfirmed:
            raise
        except HTTPError as error:
            error.close()
            raise NotConfirmed(self._refusal(error)) from None
        except URLError as error:
            kind = type(error.reason).__name__
            raise NotConfirmed(f"the web server cannot be reached ({kind}): check --dagster-url") from None
        except Exception as error:
            # http.client raises many kinds of errors for a response that is not HTTP; none of them may open the gate.
            raise NotConfirmed(f"the web server sent no valid response ({type(error).__name__})") from None
        return body

    def _refusal(self, error: HTTPError) -> str:
        if error.code in (401, 403):
            return f"the web server refuses the request (HTTP {error.code}): {self._advice}"
        if 300 <= error.code < 400:
            return (f"the web server redirects to {_origin(error.headers.get('Location', ''))} (HTTP {error.code}), "
                    f"which is not followed: {self._advice}")
        if error.code in (404, 405):
            return (f"the web server has no GraphQL at this address (HTTP {error.code}): check --dagster-url and its "
                    "path prefix")
        return f"the web server responded with HTTP {error.code}"

    @property
    def _advice(self) -> str:
        if self.headers:
            return f"check --dagster-url, {TOKEN_VARIABLE} and {HEADER_VARIABLE}"
        return f"set {TOKEN_VARIABLE} if the server asks for a token, or check --dagster-url"


class _NoRedirect(HTTPRedirectHandler):
    # After a redirect, a login page would answer with 200, and the token and query would go to another host.
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def parse_json(text: str | bytes) -> Any:
    """Return the value of a JSON text; raise NotConfirmed if it is not valid or has a duplicate field."""
    try:
        return json.loads(text, object_pairs_hook=_unique_fields)
    except (ValueError, RecursionError):
        raise NotConfirmed("the response is not valid JSON") from None


def _unique_fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("duplicate field")
    return fields


def _endpoint(url: str) -> str:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https") or parts.query or parts.fragment or not url.isprintable():
        raise ConfigurationError("--dagster-url is not a web address: write http://host:3000 or https://host/prefix.")
    if parts.username is not None:
        raise ConfigurationError(
            f"--dagster-url contains a user name: leave it out, and set {TOKEN_VARIABLE} if a token is asked for.")
    path = parts.path.rstrip("/").removesuffix("/graphql")
    return f"{parts.scheme}://{parts.netloc}{path}/graphql"


def _token_header(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the header with the token, empty without a token. Neither value is quoted: they may be swapped."""
    token = environ.get(TOKEN_VARIABLE, "").strip()  # a secret that was read from a file ends with a newline
    header = environ.get(HEADER_VARIABLE, "").strip() or DEFAULT_HEADER
    if not token:
        return {}
    if not (token.isascii() and token.isprintable()):
        raise ConfigurationError(
            f"{TOKEN_VARIABLE} contains a character that is not allowed in a header: copy the token again.")
    if not _HEADER_NAME.fullmatch(header) or header.lower() in _OWN_HEADERS:
        raise ConfigurationError(
            f"{HEADER_VARIABLE} is not the name of a header for a token: write {DEFAULT_HEADER} or Authorization.")
    # A token contains no space, so one with a space names its own scheme.
    bearer = header.lower() in ("authorization", "proxy-authorization") and " " not in token
    return {header: f"Bearer {token}" if bearer else token}


def _origin(location: str) -> str:
    """Return the scheme and host of a redirect. Its path and query may contain a secret."""
    try:
        parts = urlsplit(location)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or not re.fullmatch(r"[A-Za-z0-9.:_-]{1,100}", host) or parts.scheme not in ("http", "https"):
        return "another address"
    return f"{parts.scheme}://{host}" + (f":{port}" if port else "")
