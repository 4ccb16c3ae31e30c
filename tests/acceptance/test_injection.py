"""What people give a run is data, in whatever it becomes a part of."""

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from executor.base import Invocation
from scheduler.domain.process_types import parse
from scheduler.domain.rendering import render
from tests.support.runners import LONG, Client, a_runner

pytestmark = pytest.mark.anyio

VALUES = 20_000 if LONG else 2_000
PRINTF = "printf '%s\\0' "
AT_ONCE = 100  # values that one command is given
PIECES = (
    " ", "  ", "\t", "\n", "\r\n", "'", '"', "\\", "\\\\", "$", "$$", "${", "${{", "}}", "$(", ")",
    "`", ";", "|", "||", "&", "&&", "<", ">", "*", "?", "[a]", "{a,b}", "~", "#", "!", "!!", "=",
    "%", "%s", "%n", "-", "--", "-e", "\x01", "\x1b[31m", "\x7f", "\u00a0", "\u2028", "\u202e",
    "\ufeff", "é", "e\u0301", "漢字", "👩‍🚀", "\U0010ffff", "a", "B", "0", "input.v",
    "null", "true",
)  # fmt: skip


def generated(count: int) -> list[str]:
    chance = random.Random(20_261_201)
    return ["".join(chance.choices(PIECES, k=chance.randrange(12))) for _ in range(count)]


def a_task(text: str) -> Any:
    [found] = parse(f"name: t\ntasks:\n  - {text}")
    return found.tasks[0]


async def printed(client: Client, key: str, task: Any, values: Sequence[str]) -> list[str]:
    """What a command prints that is given these values, with a NUL after each."""
    invocation = render(task, {"input": {"v": list(values)}})
    client.link.start(key, Invocation(**invocation))
    ended = await client.end(key)
    assert ended.outcome.exit_code == 0, ended.outcome
    return client.output(key).decode().split("\0")[:-1]


def words(count: int) -> str:
    return " ".join(f"${{{{ input.v[{n}] }}}}" for n in range(count))


def listed(count: int) -> str:
    return ", ".join(f'"${{{{ input.v[{n}] }}}}"' for n in range(count))


async def test_every_value_arrives_as_the_one_argument_that_it_is(tmp_path: Path) -> None:
    as_text = a_task(f"{{name: a, run: {json.dumps(PRINTF + words(AT_ONCE))}}}")
    as_list = a_task(f"{{name: a, run: [printf, '%s\\0', {listed(AT_ONCE)}]}}")
    values, arrived = generated(VALUES), []
    async with a_runner(tmp_path) as client:
        for start in range(0, VALUES, AT_ONCE):
            task = as_list if start % (2 * AT_ONCE) else as_text
            arrived += await printed(client, f"{start}.1", task, values[start : start + AT_ONCE])
    assert len(arrived) == VALUES
    assert arrived == values


async def test_no_value_has_an_effect_in_a_shell(tmp_path: Path) -> None:
    values, folder = hostile(tmp_path / "made"), tmp_path / "empty"
    assert len(values) == 200
    folder.mkdir()
    names = [f"V{n}" for n in range(len(values))]
    env = ", ".join(f'{name}: "${{{{ input.v[{n}] }}}}"' for n, name in enumerate(names))
    script = PRINTF + " ".join(f'"${name}"' for name in names)
    shell = a_task(f"{{name: a, shell: {json.dumps(script)}, cwd: {folder}, env: {{{env}}}}}")
    argv = a_task(f"{{name: a, cwd: {folder}, run: {json.dumps(PRINTF + words(200))}}}")
    async with a_runner(tmp_path) as client:
        assert await printed(client, "1.1", argv, values) == values
        assert await printed(client, "2.1", shell, values) == values
    assert list(folder.iterdir()) == []
    assert not (tmp_path / "made").exists()


def hostile(file: Path) -> list[str]:
    """Each would make the file if anything read it as code."""
    effects = [f"touch {file}", f">{file}", f"touch${{IFS}}{file}", f"cp /etc/hostname {file}"]
    forms = [
        "{0}", "; {0}", "& {0}", "&& {0}", "| {0}", "|| {0}", "\n{0}\n", "\r\n{0}", "$({0})",
        "`{0}`", "'; {0}; '", '"; {0}; "', "'\"; {0}; #", "'$({0})'", '"$({0})"', "a'$({0})'b",
        "\\'; {0} #", '\\"; {0} #', "$(({0}))", "${{x:-$({0})}}", "<({0})", ">({0})", "{{ {0}; }}",
        "({0})", "!{0}", "#\n{0}", "--; {0}", "-c {0}", "-e {0}", "--exec={0}", "() {{ :; }}; {0}",
        "eval '{0}'", "sh -c '{0}'", "x\x01; {0}", "\x1b]0;{0}\x07", "%s; {0}", "\t; {0}",
        "\u00a0; {0}", "\uff1b {0}", "${{{{ input.v[0] }}}}; {0}", "*; {0}", "~; {0}",
        "[a-z]; {0}", "\\\n; {0}", "$'\\n{0}'", "PATH=.; {0}", "$0 -c {0}", "a=b {0}",
        "<<X\n$({0})\nX", "case x in x) {0};; esac",
    ]  # fmt: skip
    return [form.format(effect) for form in forms for effect in effects]
