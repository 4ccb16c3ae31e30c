"""What looks like an expression, and comes from data, is text wherever it goes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from tests.support.postgres import Databases
from tests.support.system import a_system

pytestmark = pytest.mark.anyio

# Everywhere a value can go: arguments, variables, standard input, keys, outputs and what is made of
# them, a child's input and labels, an event's key and data, a call's address, headers and body.
CHILD = {
    "name": "inert-child",
    "queue": "main",
    "tasks": [
        {"name": "it", "run": "cat", "stdin": "${{ input.v }}", "output": "json"},
    ],
    "result": {"v": "${{ tasks.it.output }}", "label": "${{ run.labels.first }}"},
}
EVERYWHERE = """
name: inert
queue: main
tasks:
  - name: echo
    for_each: {in: "${{ input.v }}", max_parallel: 8}
    run: [printf, "%s", "${{ item.value }}"]
    limit: {key: "${{ item.value }}"}
    share: ${{ item.value }}
    output: text
  - name: again
    for_each: {in: "${{ tasks.echo.output }}", max_parallel: 8}
    shell: printf %s "$V"
    env: {V: "${{ item.value }}"}
    output: text
  - {name: said, run: cat, stdin: "${{ tasks.again.output }}", output: json}
  - name: call
    for_each: {in: "${{ tasks.said.output }}", max_parallel: 8}
    http:
      method: POST
      url: http://127.0.0.1:${{ input.port }}/x/${{ item.value }}?q=${{ item.value }}
      headers: {X-Value: "<${{ item.value }}>"}
      json: {v: "${{ item.value }}", w: "<${{ item.value }}>"}
      allow_private: true
  - name: child
    process:
      type: inert-child
      input: {v: "${{ tasks.said.output }}"}
      labels: {first: "${{ tasks.said.output[0] }}"}
  - {name: tell, emit: {event: inert, key: "${{ input.v[1] }}", data: "${{ tasks.said.output }}"}}
  - {name: hear, wait_for: {event: inert, key: "${{ input.v[1] }}"}, timeout: 30s}
result:
  said: ${{ tasks.said.output }}
  called: ${{ tasks.call.output.map(a, a.body) }}
  child: ${{ tasks.child.output.output }}
  heard: ${{ tasks.hear.output.data }}
"""


async def test_what_looks_like_an_expression_is_text_wherever_it_comes(
    databases: Databases, tmp_path: Path
) -> None:
    values = posing()
    assert len(set(values)) == 60
    private = {"PROCESSION_HTTP__ALLOW_PRIVATE": '["127.0.0.0/8"]'}
    with a_system(databases, tmp_path, **private) as system:
        async with an_echo() as (port, heard), system.asking() as ask, system.worker("main"):
            await ask.publish(CHILD)
            await ask.http.post("/process-types", content=EVERYWHERE)
            begun = await ask.post("/runs", {"type": "inert", "input": {"v": values, "port": port}})
            ended = await ask.ended(begun["id"])
            assert ended["status"] == "COMPLETED", ended
            output = ended["output"]
    assert output["said"] == values
    assert output["heard"] == values
    assert output["child"] == {"v": values, "label": values[0]}
    assert output["called"] == [{"v": value, "w": f"<{value}>"} for value in values]
    assert sorted(heard) == sorted((value, value, f"<{value}>") for value in values)


def posing() -> list[str]:
    """Each would come to something else if anything evaluated it."""
    inner = [
        "1 + 1", "input.v", "input.v[0]", "vars.x", "run.id", "run", "tasks.echo.output",
        "tasks", "item.value", "item", "output", "secrets.canary", "secrets['a/b']", "secrets",
        "event.data", "error", "failed", "iteration", "'a' + 'b'", "[1,2].map(i, i)",
        "size(input.v)", "default(input.x, 'y')", "has(input.v) ? 'a' : 'b'", "true", "null",
    ]  # fmt: skip
    forms = ["${{{{ {0} }}}}", "$${{{{ {0} }}}}"]
    odd = [
        "${{", "}}", "$${{", "${{ '}}' }}", "{{ input.v }}", "${input.v}", "#{1+1}",
        "<%= 1+1 %>", "${{ ${{ 1 + 1 }} }}", "${{1+1}}${{1+1}}",
    ]  # fmt: skip
    return [*(form.format(each) for form in forms for each in inner), *odd]


@asynccontextmanager
async def an_echo() -> AsyncIterator[tuple[int, list[tuple[str, str, str]]]]:
    """Answers with the JSON that it was sent; keeps what the address and a header said."""
    heard: list[tuple[str, str, str]] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.split("\r\n")
        fields = dict(line.split(": ", 1) for line in lines if line)
        told = {name.lower(): value for name, value in fields.items()}
        address = urlsplit(first.split(" ")[1])
        [query] = parse_qs(address.query)["q"]
        heard.append((unquote(address.path).removeprefix("/x/"), query, told["x-value"]))
        body = await reader.readexactly(int(told["content-length"]))
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
        writer.write(f"{head}\r\nconnection: close\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], heard
