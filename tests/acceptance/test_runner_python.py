"""Python functions, called by a real runner in an interpreter of their own."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from executor.base import Ending, Invocation, Outcome
from executor.python_call import invocation
from tests.support.runners import Client, a_runner

pytestmark = pytest.mark.anyio

MODULE = """
import asyncio, os, sys

class Table:
    @staticmethod
    def rows(n=3):
        return list(range(n))

def add(a, b, *, times=1):
    print("adding")
    return {"sum": (a + b) * times}

async def later(a):
    await asyncio.sleep(0)
    return a

def nothing(): pass
def fails(): raise KeyError("no such day")
def nested(): return fails()
def leaves(): sys.exit(0)
def vanishes(): os._exit(0)
def odd(): return {1, 2}
def large(): return "x" * 300_000
def infinite(): return float("inf")
def nul(): return "a\\0b"
def surrogate(): raise ValueError("\\udc80 \\0")
def reads(): return sys.stdin.read()
def says():
    print('::procession:: {"progress": 0.5, "outputs": {"a": 1}, "labels": {"x": "y"}}')
    return 7
NUMBER = 7
"""


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "things.py").write_text(MODULE)
    (folder / "broken.py").write_text("import nowhere_to_be_found")
    return folder


async def called(client: Client, work: Path, call: str, **args: Any) -> Outcome:
    given = invocation(call, args, interpreter=sys.executable, cwd=str(work))
    key = f"{len(client.ends)}.1"
    client.link.start(key, Invocation(**given))
    return (await client.end(key)).outcome


async def test_what_a_function_returns_is_the_output(tmp_path: Path, work: Path) -> None:
    async with a_runner(tmp_path) as client:
        outcome = await called(client, work, "things:add", a=1, b=2, times=3)
        assert (outcome.ending, outcome.output) == (Ending.SUCCEEDED, '{"sum":9}')
        assert client.output("0.1") == b"adding\n"
        assert (await called(client, work, "things:Table.rows")).output == "[0,1,2]"
        assert (await called(client, work, "things:later", a="é")).output == '"é"'
        assert (await called(client, work, "things:nothing")).output == "null"
        assert (await called(client, work, "things:reads")).output == '""'


async def test_arguments_are_not_among_the_words_of_its_process(work: Path) -> None:
    given = invocation("things:add", {"a": "between us", "b": "x"}, cwd=str(work))
    assert "between us" not in "".join(given["argv"])


async def test_a_function_may_report_as_every_command(tmp_path: Path, work: Path) -> None:
    async with a_runner(tmp_path) as client:
        outcome = await called(client, work, "things:says")
        assert outcome.output == "7"
        assert outcome.detail is not None
        assert outcome.detail["progress"] == {"progress": 0.5, "labels": {"x": "y"}}


async def test_what_a_function_raises_fails_the_attempt_with_its_trace(
    tmp_path: Path, work: Path
) -> None:
    async with a_runner(tmp_path) as client:
        outcome = await called(client, work, "things:nested")
        assert (outcome.ending, outcome.exit_code) == (Ending.FAILED, 1)
        assert outcome.retryable
        assert outcome.error == "KeyError: 'no such day'"
        assert outcome.detail is not None
        told = outcome.detail["exception"]
        assert (told["type"], told["message"]) == ("KeyError", "'no such day'")
        assert "in fails" in told["trace"]
        assert "importlib" not in told["trace"]
        assert "<string>" not in told["trace"]
        odd = await called(client, work, "things:surrogate")
        assert odd.error == "ValueError: ? \\0"


@pytest.mark.parametrize(
    ("call", "args", "why"),
    [
        ("nowhere.at_all:f", {}, "has no module 'nowhere'"),
        ("things:gone", {}, "things has no 'gone'"),
        ("things:NUMBER", {}, "not a function, but int"),
        ("things:add", {"a": 1}, "missing a required argument: 'b'; it takes (a, b, *, times=1)"),
        ("things:add", {"a": 1, "b": 1, "c": 1}, "got an unexpected keyword argument 'c'"),
        ("things:odd", {}, "is no JSON: Object of type set is not JSON serializable"),
        ("things:infinite", {}, "is no JSON"),
        ("things:large", {}, "300002 bytes of JSON"),
        ("things:nul", {}, "NUL and half characters can't be stored"),
    ],
)
async def test_what_no_retry_would_mend_says_what_to_do(
    tmp_path: Path, work: Path, call: str, args: dict[str, Any], why: str
) -> None:
    async with a_runner(tmp_path) as client:
        outcome = await called(client, work, call, **args)
        assert outcome.ending is Ending.FAILED
        assert not outcome.retryable
        assert outcome.output is None
        assert outcome.error is not None
        assert why in outcome.error


async def test_an_interpreter_that_ends_before_the_function_returned_is_no_success(
    tmp_path: Path, work: Path
) -> None:
    async with a_runner(tmp_path) as client:
        left = await called(client, work, "things:leaves")
        assert (left.ending, left.error) == (Ending.FAILED, "SystemExit: 0")
        gone = await called(client, work, "things:vanishes")
        assert (gone.ending, gone.exit_code) == (Ending.FAILED, 0)
        assert gone.error == "the interpreter ended before the function had returned"
        broken = await called(client, work, "broken:f")
        assert broken.error == "ModuleNotFoundError: No module named 'nowhere_to_be_found'"
        assert broken.retryable


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    folder = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    return folder


async def test_a_venv_of_choice_needs_nothing_of_ours(
    tmp_path: Path, work: Path, venv: Path
) -> None:
    (work / "where.py").write_text("import sys\ndef prefix(): return sys.prefix")
    (work / "ours.py").write_text("import httpx\ndef f(): pass")
    async with a_runner(tmp_path) as client:
        given = invocation("where:prefix", {}, interpreter=f"{venv}/bin/python", cwd=str(work))
        client.link.start("a.1", Invocation(**given))
        assert (await client.end("a.1")).outcome.output == f'"{venv}"'
        given = invocation("ours:f", {}, interpreter=f"{venv}/bin/python", cwd=str(work))
        client.link.start("b.1", Invocation(**given))
        assert (await client.end("b.1")).outcome.error == (
            "ModuleNotFoundError: No module named 'httpx'"
        )
