"""What setup.cfg and pyproject.toml promise, and, once, a wheel installed away from the checkout."""

from __future__ import annotations

import ast
import configparser
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("packet_spec", "exchanged", "frontend_server", "cli")
# The name under which a distribution is imported, where it is another one.
# Run by hand when the catalogue changes; what it needs is a tool, not a dependency.
TOOLS = {"compile_catalogue.py"}
IMPORT_NAMES = {"pillow": "PIL", "pynacl": "nacl", "sqlite-utils": "sqlite_utils"}


def setup() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def listed(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def names(requirements: str) -> set[str]:
    return {re.split(r"[<>=!~ ]", line)[0] for line in listed(requirements)}


def test_metadata_has_one_home() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "project" not in project
    assert setup()["metadata"]["version"] == "attr: exchanged.__version__"


def test_the_version_is_a_literal_so_that_building_imports_nothing() -> None:
    tree = ast.parse((ROOT / "exchanged/__init__.py").read_text(encoding="utf-8"))
    (value,) = [
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__version__"
    ]
    assert re.fullmatch(r"\d+\.\d+\.\d+", ast.literal_eval(value))


def test_exactly_our_packages_are_found_and_each_is_typed() -> None:
    parser = setup()
    wanted = {name for package in PACKAGES for name in (package, f"{package}.*")}
    assert set(listed(parser["options.packages.find"]["include"])) == wanted
    for package in PACKAGES:
        assert (ROOT / package / "py.typed").is_file()
        assert "py.typed" in parser["options.package_data"][package]


def test_every_folder_with_code_is_a_package() -> None:
    """A folder without __init__.py would be missing in the wheel, and only there."""
    lacking = {
        path.parent.relative_to(ROOT).as_posix()
        for package in (*PACKAGES, "tests")
        for path in (ROOT / package).rglob("*.py")
        if not (path.parent / "__init__.py").is_file()
    }
    assert lacking == set()


def test_no_test_folder_is_named_like_a_package() -> None:
    assert not {path.name for path in (ROOT / "tests").iterdir()} & set(PACKAGES)


def test_every_library_is_declared_and_every_declared_one_is_used() -> None:
    declared = {IMPORT_NAMES.get(name, name) for name in names(setup()["options"]["install_requires"])}
    used = set()
    for package in PACKAGES:
        for path in (path for path in (ROOT / package).rglob("*.py") if path.name not in TOOLS):
            for node in ast.walk(ast.parse(path.read_bytes())):
                if isinstance(node, ast.Import):
                    used |= {alias.name.split(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module:
                    used.add(node.module.split(".")[0])
    assert used - set(sys.stdlib_module_names) - set(PACKAGES) - {"__future__"} == declared


def test_a_ceiling_has_its_reason_beside_it() -> None:
    lines = listed((ROOT / "setup.cfg").read_text(encoding="utf-8"))
    for before, line in pairwise(lines):
        if re.match(r"[a-z-]+[>=0-9.]*,?<", line):
            assert before.startswith("#"), line


def test_nobody_else_owns_a_package_of_our_name() -> None:
    owners = packages_distributions()
    assert {name: owners[name] for name in PACKAGES if len(set(owners.get(name, ()))) > 1} == {}


def test_the_run_script_is_one_that_any_shell_reads() -> None:
    script = ROOT / "run"
    assert os.access(script, os.X_OK)
    assert script.read_text(encoding="utf-8").startswith("#!/bin/sh\n")
    subprocess.run(["/bin/sh", "-n", str(script)], check=True)
    done = subprocess.run([str(script), "nonsense"], capture_output=True, text=True, check=False, cwd="/")
    assert done.returncode == 2
    for verb in ("demo", "test", "lint", "docs"):
        assert f"./run {verb}" in done.stderr


@pytest.mark.slow
@pytest.mark.process
def test_the_wheel_works_away_from_the_checkout(tmp_path: Path) -> None:
    """The only proof that packaging works: data files, scripts, and nothing that does not belong."""
    source = tmp_path / "source"
    source.mkdir()
    for name in (*PACKAGES, "setup.cfg", "pyproject.toml"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, source / name)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path), str(source)]
    subprocess.run(build, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    contents = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in contents if ".dist-info" not in name} == set(PACKAGES)
    home = tmp_path / "home"
    subprocess.run([*pip, "install", "--no-deps", "--target", str(home), str(wheel)], check=True)
    # The libraries come from this environment, our packages from the wheel alone.
    environment = {**os.environ, "PYTHONPATH": str(home), "PYTHONSAFEPATH": "1"}

    def run(*words: str) -> str:
        command = [sys.executable, *words]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        ).stdout

    assert run("-c", "import cli; print(cli.__file__)").startswith(str(home))
    assert "exchangectl" in run(str(home / "bin/exchangectl"), "--version")
    assert "exchanged" in run(str(home / "bin/exchanged"), "--help")
    run("-c", "from packet_spec.catalogue import load_catalogue; load_catalogue()")
    run("-c", "from cli.node_template import template; assert '[node]' in template()")
    schema = "importlib.resources.files('packet_spec').joinpath('schemas', 'packet.xsd')"
    run("-c", f"import importlib.resources; {schema}.read_bytes()")
    environment["EXCHANGED_LOCALE"] = "zh_CN"
    assert run("-c", "from cli.locale import _; print(_('hint'))").strip() == "建议"
    run("-m", "cli", "kit", "build", "--types", "info.share", str(tmp_path / "kit"))
    program = (ROOT / "examples/vendor/Send.java").read_bytes()
    assert (tmp_path / "kit/vendor/Send.java").read_bytes() == program
    lab = ("lab", "create", str(tmp_path / "lab"), "--agencies", "1", "--link", "folder", "--json")
    assert "620199-01-00" in run("-m", "cli", *lab)
