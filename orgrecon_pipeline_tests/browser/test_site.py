"""The documentation site in a real browser: its search answers questions, and its pages fit narrow screens."""

from __future__ import annotations

import functools
import os
import subprocess
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import pytest

from orgrecon_pipeline_tests.support.browser.stage import CHROMIUM, browser
from orgrecon_pipeline_tests.support.deploy.tools import ROOT, from_venv
from orgrecon_pipeline_tests.support.environ import inherited_environ
from orgrecon_pipeline_tests.support.http_server import serving

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.skipif(
    (find_spec("playwright") is None or not Path(CHROMIUM).exists()) and not os.environ.get("CI"),
    reason="needs Debian's Chromium and Playwright",
)]

#: What a stranger types, and where the answer is. It must be in the first result, or among its sections.
QUESTIONS = {
    "what does exit code 3 mean": "/how-to/questions/#what-does-exit-code-3-mean",
    "settle_seconds default": "/mapping/#scan",
    "keep_keys": "/mapping/#report",
    "signed-by": "/cli/#verify",
    "how do I ignore a column": "/how-to/questions/#how-do-i-ignore-a-column",
    "which metric pages on-call": "/how-to/questions/#which-alert-or-metric-pages-on-call",
    "where is the ledger stored": "/how-to/questions/#where-is-the-ledger-stored",
    "how long does it take": "/how-to/questions/#how-long-does-a-comparison-take",
    "how to rotate the signing key": "/how-to/questions/#how-do-i-rotate-the-signing-key",
    "valid_until": "/json/#gate",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the site."""
    folder, environ = str(tmp_path_factory.mktemp("site")), {**inherited_environ(), "NO_MKDOCS_2_WARNING": "1"}
    subprocess.run([from_venv("mkdocs"), "build", "--quiet", "--site-dir", folder], cwd=ROOT, env=environ, check=True)
    handler = functools.partial(_Quiet, directory=folder)
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), handler)) as url:
        yield url


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    """A narrow browser that cannot reach other servers: Mermaid comes from one."""
    with browser(inherited_environ()) as page:
        page.set_viewport_size({"width": 390, "height": 900})
        page.route("https://**", lambda route: route.abort())
        yield page


@pytest.mark.parametrize("question", QUESTIONS)
def test_first_result_of_the_search_answers_the_question(site: str, page: Page, question: str) -> None:
    page.goto(f"{site}/?q={quote(question)}")
    result = page.locator(".md-search-result__item").first
    result.wait_for()
    links = [urlsplit(link) for link in result.locator("a").evaluate_all("links => links.map(link => link.href)")]
    assert QUESTIONS[question] in [f"{link.path}#{link.fragment}".rstrip("#") for link in links]


@pytest.mark.parametrize("path", ["", "cli/", "benchmarks/", "decisions/comparison/"])
def test_page_fits_a_narrow_screen(site: str, page: Page, path: str) -> None:
    page.goto(f"{site}/{path}")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
