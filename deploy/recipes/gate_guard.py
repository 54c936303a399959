"""Guard of a feature flag: answer yes only while the gate of the right migration is OPEN. Any doubt is no."""

import http.client
import json
import os
import urllib.parse

IDENTITY = {"migration": "org-v23", "environment": "prod"}


def gate_is_open(tenant: str | None = None, timeout: float = 5.0) -> bool:
    """Return whether the gate of the company, or of one tenant, is OPEN."""
    try:
        url = urllib.parse.urlsplit(os.environ["ORGRECON_GATE_URL"])
        scheme = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}[url.scheme]
        connection = scheme(url.netloc, timeout=timeout)
        path = url.path + (f"/tenants/{urllib.parse.quote(tenant, safe='')}" if tenant is not None else "")
        token = os.environ.get("ORGRECON_GATE_TOKEN", "")
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
        response = connection.getresponse()
        answer = json.loads(response.read(1_000_000))
        expected = {**IDENTITY, "state": "OPEN", **({} if tenant is None else {"tenant": tenant})}
        return bool(response.status == 200 and expected.items() <= answer.items())
    except Exception:  # no answer, not the expected one, or not configured
        return False
