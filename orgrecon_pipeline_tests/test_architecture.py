"""The shape of the code, held: who may import whom, what is lazy, and that nothing happens at import."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from orgrecon_pipeline_tests.support.environ import inherited_environ

PACKAGE = Path(__file__).parents[1] / "orgrecon_pipeline"
ROOT = PACKAGE.name

ALLOWED = {
    "domain": set(),
    "file_lock": set(),
    "config": {"domain"},
    "postgres": {"domain"},
    "compare": {"domain", "postgres"},
    "proposal": {"domain", "postgres", "compare"},
    "repair": {"domain", "postgres"},
    "ledger": {"domain", "file_lock", "postgres"},
    "report": {"domain", "file_lock"},
    "operations": {"config", "domain", "postgres", "compare", "proposal", "repair", "ledger", "report", "version"},
    "schemas": {"domain", "operations"},
    "notify": {"config", "domain", "ledger", "operations", "report"},
    "metrics": {"config", "domain", "ledger", "operations", "version"},
    "demo": {"domain", "file_lock", "metrics"},
    "defs": {"config", "demo", "domain", "file_lock", "ledger", "notify", "operations", "report"},
    "cli": {"config", "defs", "demo", "domain", "ledger", "metrics", "notify", "operations", "report", "version"},
    "component": {"defs"},
    "definitions": {"defs"},
    "__main__": {"cli"},
    "version": set(),
}
STANDARD_AND_PYDANTIC = sys.stdlib_module_names | {"pydantic", "pydantic_core", "typing_extensions", ROOT}


def modules() -> list[tuple[str, Path]]:
    return [(path.relative_to(PACKAGE).parts[0].removesuffix(".py"), path) for path in sorted(PACKAGE.rglob("*.py"))
            if path.parent != PACKAGE or path.stem != "__init__"]


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            found |= {f"{node.module}.{alias.name}" for alias in node.names} if node.module == ROOT else {node.module}
    return found


@pytest.mark.parametrize(("part", "path"), modules(), ids=str)
def test_imports_follow_the_layers(part: str, path: Path) -> None:
    ours = {name.split(".")[1] for name in imports(path) if name.startswith(f"{ROOT}.")} - {part}
    assert ours <= ALLOWED[part], f"{path.name} of {part} imports {sorted(ours - ALLOWED[part])}"


def test_import_graph_has_no_cycle() -> None:
    graph = {".".join((ROOT, *path.relative_to(PACKAGE).with_suffix("").parts)): imports(path) for _, path in modules()}
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the modules


def test_the_domain_is_pure() -> None:
    for part, path in modules():
        if part == "domain":
            assert {name.split(".")[0] for name in imports(path)} <= STANDARD_AND_PYDANTIC, path


def test_packages_are_empty_and_modules_small() -> None:
    for path in PACKAGE.rglob("__init__.py"):
        assert not path.read_text(encoding="utf-8").strip(), path
    long = {path.name: n for _, path in modules() if (n := len(path.read_text(encoding="utf-8").splitlines())) > 400}
    assert not long
    assert not list(PACKAGE.rglob("utils.py"))


def test_nothing_is_imported_from_a_conftest() -> None:
    """Helpers that several test modules share live in ``support``."""
    assert not [path.name for path in Path(__file__).parent.rglob("*.py")
                if any("conftest" in name for name in imports(path))]


# Modules that take long to import.
SLOW = {"dagster", "pandas", "numpy", "alembic", "apprise", "psycopg", "cryptography", "sqlglot",
        "sqlalchemy.dialects.postgresql", "sqlalchemy", "jinja2", "ruamel", "pydantic", "rich"}
READS_LEDGER = {"sqlalchemy", "ruamel", "pydantic"}

# Each command, and the slow modules that it needs on a day that is not compared. Its output goes into a pipe.
NEEDED = {
    "--version": set(),
    "--help": {"rich"},
    "gate --help": {"rich", "pydantic"},  # Typer converts the values of options with pydantic
    "verify": {"jinja2", "ruamel", "pydantic"},
    "gate": READS_LEDGER | {"jinja2"},
    "gate --format json": READS_LEDGER | {"jinja2"},
    "drift": READS_LEDGER,
    "history": READS_LEDGER | {"jinja2"},
    "report --date 2026-03-01": READS_LEDGER | {"jinja2"},
}


@pytest.fixture(scope="module")
def observed_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with a ledger and a report."""
    directory = tmp_path_factory.mktemp("observed")
    subprocess.run([sys.executable, "-m", ROOT, "report", "--baseline", "--date", "2026-03-01"], cwd=directory,
                   env=inherited_environ(), check=True, capture_output=True)
    return directory


@pytest.mark.parametrize("command", NEEDED)
def test_commands_import_no_slow_module_that_they_do_not_need(command: str, observed_directory: Path) -> None:
    probe = ("import sys\n"
             "from orgrecon_pipeline.cli.app import main\n"
             "try:\n    main(sys.argv[2:])\nexcept SystemExit as ended:\n    assert ended.code in (None, 0, 1)\n"
             "imported = set(sys.argv[1].split()) & set(sys.modules)\n"
             "assert not imported, imported\n")
    unneeded = SLOW - NEEDED[command]
    subprocess.run([sys.executable, "-c", probe, " ".join(unneeded), *command.split()], cwd=observed_directory,
                   env=inherited_environ(), check=True, capture_output=True)


@pytest.mark.parametrize("command", ["gate", "report --date 2026-03-01"])
def test_short_commands_never_search_for_garbage(command: str, observed_directory: Path) -> None:
    """A search examines the objects of all imports, which takes a fifteenth of the time of such a command."""
    probe = ("import gc\n"
             "from orgrecon_pipeline.__main__ import main\n"
             "gc.collect()\n"
             "searches = []\n"
             "gc.callbacks.append(lambda phase, info: searches.append(info))\n"
             "try:\n    main()\nexcept SystemExit as ended:\n    assert ended.code in (0, 1)\n"
             "assert not searches, searches\n")
    subprocess.run([sys.executable, "-c", probe, *command.split()], cwd=observed_directory, env=inherited_environ(),
                   check=True, capture_output=True)


@pytest.mark.parametrize("program", [
    "from orgrecon_pipeline.definitions import defs; defs().resolve_job_def('reconcile_day')",
    "from orgrecon_pipeline.cli.app import main; main(['doctor'])",
])
def test_pandas_is_loaded_only_for_tables(program: str, seeded_database: str, tmp_path: Path) -> None:
    probe = ("import sys\n"
             f"try:\n    {program}\nexcept SystemExit as ended:\n    assert not ended.code, ended.code\n"
             "assert 'pandas' not in sys.modules\n")
    subprocess.run([sys.executable, "-c", probe], cwd=tmp_path, check=True, capture_output=True,
                   env={**inherited_environ(), "DATABASE_URL": seeded_database})


def test_importing_reads_no_environment_and_connects_nowhere(tmp_path: Path) -> None:
    """With an environment that would break whatever looked at it, every module can still be imported."""
    names = [".".join((ROOT, *path.relative_to(PACKAGE).with_suffix("").parts)) for _, path in modules()
             if "migrations" not in path.parts and path.name not in ("__init__.py", "__main__.py")]
    probe = "import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(name)\n"
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "ORGRECON_MAPPING": "/nowhere", "DATABASE_URL": "broken",
               "ORGRECON_LEDGER_URL": "broken", "ORGRECON_START_DATE": "broken"}
    subprocess.run([sys.executable, "-c", probe, *names], cwd=tmp_path, env=environ, check=True, capture_output=True)
    assert not list(tmp_path.iterdir())
