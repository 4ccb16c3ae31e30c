"""What the code of a workflow may do: wait, tell, ask, and draw moments. All of it is kept."""

# ruff: noqa: ASYNC109 - these timeouts are the server's, and survive the program

import random as randoms
import re
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from procession.workflows.commands import OperatorCommand, most_urgent
from procession.workflows.errors import TimedOut
from procession.workflows.here import must_be_here
from procession.workflows.steps import seconds
from procession.workflows.values import encode, keepable

if TYPE_CHECKING:
    from procession.workflows.defining import Workflow

Length = float | timedelta
NONE: Any = object()
LONGEST_NAME = 63
SHORTEST, YEAR = 0.001, 365 * 86_400.0  # seconds that one sleep may take


async def task(
    task: Mapping[str, Any],
    *,
    name: str | None = None,
    timeout: Length | None = None,
    default: Any = NONE,
) -> Any:
    """Any task that a definition may have, with values in place of expressions: what its output is.

    With `default`, that is the answer if it took longer than its timeout.
    """
    program = must_be_here("task()")
    document = keepable(dict(task), "task")
    if timeout is not None:
        document["timeout"] = seconds(timeout)
    try:
        return await program.ask(name or name_of(document), document)
    except TimedOut:
        if default is NONE:
            raise
        return default


def name_of(task: Mapping[str, Any]) -> str:
    """What a call is called whose author gave it no name: the same whenever the code is."""
    kind = next((key for key in task if key not in BESIDE), "task")
    return named(kind, detail(task.get(kind)))


BESIDE = frozenset({"timeout", "retries", "on", "queue", "priority", "labels", "description"})


def detail(value: Any) -> str:
    if isinstance(value, Mapping):
        value = next((value[key] for key in TELLING if isinstance(value.get(key), str)), "")
    return value if isinstance(value, str) else ""


TELLING = ("event", "type", "topic", "key", "name", "action")


def named(kind: str, detail: str = "") -> str:
    if kind in ("sleep", "run", "shell", "approval", "http", "at"):
        detail = ""
    return re.sub(r"[^a-z0-9_-]+", "-", f"{kind}-{detail}".lower()).strip("-")[:LONGEST_NAME]


async def sleep(length: Length, *, name: str = "sleep") -> None:
    """Survives restarts, and holds no memory while it lasts."""
    left = seconds(length) or 0.0
    while left > 0:
        await task({"sleep": max(SHORTEST, min(left, YEAR))}, name=name)
        left -= YEAR


async def wait_for(
    event: str,
    key: str | None = None,
    *,
    when: str | None = None,
    timeout: Length | None = None,
    default: Any = NONE,
) -> Any:
    """The next event of that type and key."""
    wait = {"event": event, "key": key, "when": when}
    document = {"wait_for": {name: value for name, value in wait.items() if value is not None}}
    return await task(document, timeout=timeout, default=default)


async def recv(topic: str = "", *, timeout: Length | None = None, default: Any = NONE) -> Any:
    """The oldest message to this run on that topic that it has not had yet."""
    return await task({"recv": {"topic": topic}}, timeout=timeout, default=default)


async def send(run: str, topic: str, body: Any, *, key: str | None = None) -> None:
    """A message to a run. Sent once; with `key`, once for all that send it with that key."""
    program = must_be_here("send()")
    effect = {"run": run, "topic": topic, "body": keepable(body, "body")}
    await program.keep("send", named("send", topic), effect=with_key(effect, key))


def with_key(effect: dict[str, Any], key: str | None) -> dict[str, Any]:
    return effect if key is None else {**effect, "key": key}


async def set_event(key: str, value: Any) -> None:
    """Show a value to whoever looks at this run. Earlier ones are kept as its history."""
    program = must_be_here("set_event()")
    await program.keep("set", named("set", key), effect={"key": key, "value": keepable(value, key)})


async def get_event(
    run: str, key: str, *, timeout: Length | None = None, default: Any = NONE
) -> Any:
    """What another run shows under `key`; waits until it does."""
    return await task({"get": {"run": run, "key": key}}, timeout=timeout, default=default)


async def write(stream: str, value: Any) -> None:
    """Add a value to a stream of this run, which others read as it grows."""
    program = must_be_here("write()")
    effect = {"stream": stream, "value": keepable(value, "value")}
    await program.keep("write", named("write", stream), effect=effect)


def progress(
    percent: float | None = None,
    message: str | None = None,
    data: Mapping[str, Any] | None = None,
) -> None:
    """How far it is, for whoever looks. Only the newest counts, and a replay says nothing."""
    program = must_be_here("progress()")
    if not program.is_replaying:
        program.told.progress(percent, message, data)


async def child(
    type: "str | Workflow[Any, Any]",
    input: Mapping[str, Any] | None = None,
    *,
    labels: Mapping[str, str] | None = None,
    timeout: Length | None = None,
    name: str | None = None,
) -> Any:
    """Start a run of a workflow or of any process type, and wait for its output."""
    document = process(type, input, labels)
    found = await task(document, timeout=timeout, name=name)
    output = found.get("output") if isinstance(found, Mapping) else found
    return output if isinstance(type, str) else type.read(output)


async def start_child(
    type: "str | Workflow[Any, Any]",
    input: Mapping[str, Any] | None = None,
    *,
    labels: Mapping[str, str] | None = None,
    name: str | None = None,
) -> str:
    """Start a run and do not wait: which run it is. `result(run)` waits for it later."""
    document = process(type, input, labels)
    document["process"]["wait"] = False
    found = await task(document, name=name)
    return str(found["run"])


def process(
    type: "str | Workflow[Any, Any]",
    input: Mapping[str, Any] | None,
    labels: Mapping[str, str] | None,
) -> dict[str, dict[str, Any]]:
    name = type if isinstance(type, str) else type.name
    document: dict[str, Any] = {"type": name, "input": encode(dict(input or {}), "input")}
    return {"process": document if labels is None else {**document, "labels": dict(labels)}}


async def result(run: str, *, timeout: Length | None = None, default: Any = NONE) -> Any:
    """What a run comes to; waits until it is over."""
    return await task({"result": {"run": run}}, timeout=timeout, default=default, name="result")


async def recv_command(
    state: str, *, timeout: Length = 0, topic: str = "cmd", most: int = 5
) -> OperatorCommand | None:
    """What operators want of a workflow that answers them itself.

    The most urgent, that its state allows, of up to `most` commands that are there; `timeout` is
    how long to wait for the first.
    """
    bodies: list[Any] = []
    while len(bodies) < most:
        body = await recv(topic, timeout=0 if bodies else timeout, default=NONE_LEFT)
        if body is NONE_LEFT:
            break
        bodies.append(body)
    return most_urgent(bodies, state)


NONE_LEFT: Any = object()


def now() -> datetime:
    """The time, as it was when the code was first here."""
    program = must_be_here("now()")
    return datetime.fromtimestamp(program.moment("now", program.told.now), UTC)


def rng() -> randoms.Random:
    """Chance that is the same in a replay."""
    program = must_be_here("rng()")
    found: randoms.Random | None = program.memory.get("rng")
    if found is None:
        seed = program.moment("seed", program.told.seed)
        found = program.memory["rng"] = randoms.Random(seed)
    return found


def random() -> float:
    """From 0 to 1, and the same in a replay."""
    return rng().random()


def uuid4() -> uuid.UUID:
    """A UUID that is the same in a replay."""
    return uuid.UUID(int=rng().getrandbits(128), version=4)


def patch(name: str) -> bool:
    """Whether to go the new way: True unless this run has gone the old one already."""
    return must_be_here("patch()").patched(name)


def this_run() -> str:
    """Which run this is."""
    return must_be_here("this_run()").told.run
