"""The distribution: what is in it, and that it stands alone."""

import ast
import os
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import procession

HERE = Path(__file__).parents[1]
PACKAGE = HERE / "procession"
NEEDED = {"httpx", "websockets"}
NO_INDEX = ("No matching distribution", "Connection", "Temporary failure", "Could not fetch")

ALONE = """
import importlib, pkgutil, sys
sys.path[:0] = [{wheel!r}, {packages!r}]
import procession
assert procession.__file__.startswith({wheel!r}), procession.__file__
for each in pkgutil.walk_packages(procession.__path__, "procession."):
    importlib.import_module(each.name)
strangers = {{"scheduler", "edge", "executor", "ui", "sql", "tests"}} & set(sys.modules)
assert not strangers, strangers
"""


def imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (each.name.partition(".")[0] for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def test_the_package_needs_httpx_and_websockets_and_nothing_else() -> None:
    known = {*sys.stdlib_module_names, "procession", *NEEDED}
    strangers = {
        f"{file.relative_to(HERE)}: {name}"
        for file in PACKAGE.rglob("*.py")
        for name in imported(file)
        if name not in known
    }
    assert strangers == set()


def test_what_is_declared_is_what_is_needed() -> None:
    project = tomllib.loads((HERE / "pyproject.toml").read_text())["project"]
    assert {each.partition(">")[0] for each in project["dependencies"]} == NEEDED
    assert project["version"] == procession.__version__
    assert (PACKAGE / "py.typed").exists()


def test_a_wheel_is_built_and_stands_alone(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", str(HERE)]
    built = subprocess.run(
        [*command, "--wheel-dir", str(tmp_path)],
        env={**os.environ, "PIP_RETRIES": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if built.returncode and any(each in built.stderr for each in NO_INDEX):
        pytest.skip("no index of packages is reached, from which the builder could be fetched")
    assert built.returncode == 0, built.stderr
    [wheel] = tmp_path.glob("procession_sdk-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(tmp_path / "installed")
    assert "procession/py.typed" in names
    assert all(each.startswith(("procession/", "procession_sdk-")) for each in names)
    script = ALONE.format(wheel=str(tmp_path / "installed"), packages=sysconfig.get_path("purelib"))
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
