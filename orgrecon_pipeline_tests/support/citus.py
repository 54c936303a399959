"""The Citus cluster of the tests.

``ORGRECON_TEST_CITUS`` is the DSN of a superuser on its coordinator, in a database for the tests alone.
"""

from __future__ import annotations

import os

import pytest

CITUS_DSN = os.environ.get("ORGRECON_TEST_CITUS", "")

needs_citus = pytest.mark.skipif(
    not CITUS_DSN, reason="ORGRECON_TEST_CITUS is not set: CI cannot install Citus, so these tests are run by hand")
