"""Wheel and sdist: their content, and their installation in clean environments; and what a release must agree on."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from orgrecon_pipeline.version import __version__
from orgrecon_pipeline_tests.support.deploy.tools import DEPLOY, ROOT, from_venv, run

PACKAGE = "orgrecon_pipeline"
WHEEL = f"{PACKAGE}-{__version__}-py3-none-any.whl"
SDIST = f"{PACKAGE}-{__version__}.tar.gz"
CHECK = DEPLOY / "ci/check_release.sh"


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of wheel and sdist: ``ORGRECON_TEST_DIST``, or built without git in a path with spaces."""
    if built := os.environ.get("ORGRECON_TEST_DIST"):
        return Path(built)
    source = tmp_path_factory.mktemp("a folder with spaces") / "the source"
    shutil.copytree(ROOT / PACKAGE, source / PACKAGE, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "CHANGELOG.md", "SECURITY.md"):
        shutil.copy(ROOT / name, source)
    uv("build", "--out-dir", str(source / "dist"), cwd=source)
    return source / "dist"


def uv(*arguments: str, cwd: Path) -> str:
    """Run uv without any other program on the path, so without git."""
    environ = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}
    done = subprocess.run([from_venv("uv"), *arguments], cwd=cwd, capture_output=True, text=True, check=False,
                          env={**environ, "PATH": "/nonexistent", "UV_PYTHON": sys.executable})
    assert done.returncode == 0, done.stderr
    return done.stdout


def interpreter(version: str) -> str:
    """Return an interpreter of a version. Skip the test without it: in CI, both versions have a run of their own."""
    pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser().glob(f"versions/{version}.*/bin/python")
    own = sys.executable if sys.version_info[:2] == tuple(map(int, version.split("."))) else None
    for candidate in filter(None, (own, shutil.which(f"python{version}"), *map(str, pyenv))):
        asked = subprocess.run([candidate, "-c", "import sys; print(sys.executable)"],
                               capture_output=True, text=True, check=False)
        if asked.returncode == 0:  # a shim of pyenv can lead nowhere
            return asked.stdout.strip()
    pytest.skip(f"needs Python {version}")


@pytest.mark.slow
def test_packages_contain_the_files_of_the_package_and_no_others(dist: Path) -> None:
    files = {f"{PACKAGE}/{path.relative_to(ROOT / PACKAGE)}" for path in (ROOT / PACKAGE).rglob("*")
             if path.is_file() and "__pycache__" not in path.parts}
    assert f"{PACKAGE}/py.typed" in files
    with zipfile.ZipFile(dist / WHEEL) as wheel:
        assert {name for name in wheel.namelist() if ".dist-info/" not in name} == files
        metadata = wheel.read(f"{PACKAGE}-{__version__}.dist-info/METADATA").decode()
    assert f"\nVersion: {__version__}\n" in metadata
    assert metadata.count("\nProject-URL: ") == 4
    with tarfile.open(dist / SDIST) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert names - {"pyproject.toml", "README.md", "CHANGELOG.md", "SECURITY.md", "PKG-INFO", ".gitignore"} == files


@pytest.mark.slow
@pytest.mark.parametrize("version", ["3.10", "3.13"])
def test_wheel_and_sdist_install_into_a_clean_environment_and_work(version: str, dist: Path, tmp_path: Path) -> None:
    python = interpreter(version)
    folder = tmp_path / "a folder with spaces"
    folder.mkdir()
    pinned = uv("export", "--frozen", "--no-dev", "--no-emit-project", "--no-hashes", "--quiet", cwd=ROOT)
    (folder / "pinned.txt").write_text(pinned)
    uv("venv", "--python", python, str(folder / "venv"), cwd=folder)
    install = ("pip", "install", "--python", str(folder / "venv/bin/python"))
    uv(*install, "--constraint", str(folder / "pinned.txt"), str(dist / WHEEL), cwd=folder)
    assert orgrecon(folder, "--version") == (0, f"{__version__}\n")
    assert_writes_report(folder, "of the wheel")
    assert orgrecon(folder, "verify", "of the wheel") == (0, "sound: 1 report, 0 findings\n")
    uv(*install, "--reinstall", "--no-deps", str(dist / SDIST), cwd=folder)
    assert_writes_report(folder, "of the sdist")


def orgrecon(folder: Path, *arguments: str) -> tuple[int, str]:
    """Run the installed program, without git on the path."""
    done = subprocess.run([str(folder / "venv/bin/orgrecon"), *arguments], cwd=folder, capture_output=True, text=True,
                          check=False, env={"PATH": str(folder / "venv/bin"), "HOME": str(folder)})
    return done.returncode, done.stdout + done.stderr


def assert_writes_report(folder: Path, output_dir: str) -> None:
    code, output = orgrecon(folder, "report", "--baseline", "--output-dir", output_dir)
    assert code == 0, output
    [report] = (folder / output_dir).glob("2*.md")
    assert f"| orgrecon version | `{__version__}` |" in report.read_text()


def test_version_is_that_of_the_changelog_and_of_the_image() -> None:
    changelog = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert changelog[0] == __version__
    files = [path for path in DEPLOY.rglob("*")
             if path.is_file() and not {"company", "__pycache__"}.intersection(path.parts)]
    tags = {(path.name, tag) for path in files for tag in re.findall(
        r"(?:orgrecon:|[tT]ag: \"?)(\d+\.\d+\.\d+)", path.read_text())}
    assert len(tags) >= 7
    assert {tag for _, tag in tags} == {__version__}


@pytest.fixture
def released(tmp_path: Path) -> Path:
    """A repository whose main branch is ready for a release."""
    run("git", "init", "-q", "-b", "main", cwd=tmp_path)
    (tmp_path / PACKAGE).mkdir()
    shutil.copy(ROOT / PACKAGE / "version.py", tmp_path / PACKAGE)
    project = (ROOT / "pyproject.toml").read_text().replace("github.com/you/", "github.com/acme/")
    (tmp_path / "pyproject.toml").write_text(project)
    (tmp_path / "CHANGELOG.md").write_text(f"# Changelog\n\n## [{__version__}] - 2026-12-01\n")
    commit(tmp_path)
    return tmp_path


def commit(folder: Path) -> None:
    run("git", "add", ".", cwd=folder)
    run("git", "-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-qm", "x", cwd=folder)


def check(folder: Path, tag: str = f"v{__version__}") -> tuple[int, str]:
    done = subprocess.run(["bash", str(CHECK), tag, "main"], cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_release_of_the_main_branch_is_accepted(released: Path) -> None:
    assert check(released) == (0, "")


@pytest.mark.parametrize(("file", "old", "new", "message"), [
    ("CHANGELOG.md", "- 2026-12-01", "(unreleased)", "CHANGELOG.md has no date for"),
    ("pyproject.toml", "github.com/acme/", "github.com/you/", "placeholder you"),
])
def test_release_that_is_not_prepared_is_refused(file: str, old: str, new: str, message: str, released: Path) -> None:
    path = released / file
    path.write_text(path.read_text().replace(old, new))
    commit(released)
    code, output = check(released)
    assert (code, output.count("\n")) == (1, 1)
    assert message in output


def test_release_of_another_tag_or_branch_is_refused(released: Path) -> None:
    assert check(released, "v9.9.9") == (
        1, f"check_release.sh: the tag is v9.9.9, but the version is {__version__}: tag v{__version__}, or set the "
           "version\n")
    run("git", "switch", "-qc", "other", cwd=released)
    (released / "x").touch()
    commit(released)
    code, output = check(released)
    assert code == 1
    assert "is not on main: merge it first" in output


def test_release_workflow_publishes_only_what_was_tested() -> None:
    text = (ROOT / ".github/workflows/release.yml").read_text()
    build, publish = text.split("\n  publish:\n")
    assert "permissions: {}" in build
    assert "contents: read" in build
    assert "id-token" not in build, "code of dependencies runs in this job"
    assert "needs: build" in publish
    assert not re.search(r"^ +run:", publish, re.MULTILINE), "no code of ours or of dependencies gets its permissions"
    assert f'orgrecon_pipeline_tests/deploy/{Path(__file__).name}' in build
    assert "ORGRECON_TEST_DIST" in build
    assert "secrets." not in text
