"""A workstation's token reaches its own attempts and nothing else: on every route that there is,
over every connection, and with every message that it can say."""

import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields
from hashlib import sha256
from itertools import count
from typing import Any, cast, get_args, get_type_hints

import httpx
import pytest
from fastapi.routing import APIRoute, APIWebSocketRoute
from starlette.routing import WebSocketRoute
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from edge import messages, wire
from edge.messages import Ended, File, Frame, Hello, Item, Known, Lane, Log, Phase
from scheduler.api.access import OPEN, STATION, VERDICTS
from scheduler.app import MOUNTED
from tests.support.gateways import Machine, Served, a_line, a_machine, a_token, poll
from tests.support.publishing import publish, start
from ui import access, session
from ui.app import ROUTERS

pytestmark = pytest.mark.anyio

TYPE = """
name: cut
tasks:
  - name: saw
    run: [saw]
    on: {workstation: saw-1}
"""


NUMBERS = count(1)


@pytest.fixture
async def saw(served: Served) -> Machine:
    return await a_machine(served, f"saw-{next(NUMBERS)}")


@pytest.fixture
async def press(served: Served) -> Machine:
    return await a_machine(served, f"press-{next(NUMBERS)}")


async def order(served: Served, machine: Machine) -> str:
    """A run of which a task is for this one."""
    text, name = TYPE.replace("saw-1", machine.name), f"cut-{machine.name}"
    await publish(served, text.replace("name: cut", f"name: {name}"))
    return str(await start(served, name))


# Routes.


def routes() -> Iterator[tuple[str, APIRoute]]:
    for prefix, router in MOUNTED:
        for route in router.routes:
            if isinstance(route, APIRoute):
                yield prefix, route


def path_of(prefix: str, route: APIRoute, workstation: str) -> str:
    given = {each.alias: "1" for each in route.dependant.path_params}
    if "workstation" in given:
        given["workstation"] = workstation
    return prefix + route.path_format.format(**given)


async def asked(
    served: Served, route: APIRoute, path: str, token: str
) -> Iterator[tuple[str, httpx.Response]]:
    headers = {"Authorization": f"Bearer {token}"}
    found = []
    for method in route.methods or ():
        request = served.api.build_request(method, f"{served.url}{path}", headers=headers)
        found.append((method, await served.api.send(request)))
    return iter(found)


async def test_no_route_for_people_answers_a_workstation(served: Served, saw: Machine) -> None:
    wrong, looked_at = [], 0
    for prefix, route in routes():
        if VERDICTS[route.name] in (OPEN, STATION):
            continue
        path = path_of(prefix, route, saw.name)
        for method, answer in await asked(served, route, path, saw.token):
            looked_at += 1
            if answer.status_code not in (401, 403):
                wrong.append((route.name, method, answer.status_code))
    assert wrong == []
    assert looked_at > 150


async def test_a_route_for_workstations_answers_the_one_that_it_names_and_no_other(
    served: Served, saw: Machine, press: Machine
) -> None:
    other = await a_machine(served, f"other-{next(NUMBERS)}")
    gone = await a_token(served, other.name)
    assert (await served.api.delete(f"/workstations/{other.name}")).is_success
    admin = served.api.headers["authorization"].removeprefix("Bearer ")
    strangers = {
        "another's": (press.token, 403),
        "one that is gone": (gone, 403),
        "a person's": (admin, 401),
        "nobody's": ("nothing", 401),
    }
    own = [each for each in routes() if VERDICTS[each[1].name] is STATION]
    assert {route.name for _, route in own} >= {"sync_workstation", "grant_workstation_peer"}
    for prefix, route in own:
        path = path_of(prefix, route, saw.name)
        for who, (token, status) in strangers.items():
            for method, answer in await asked(served, route, path, token):
                assert answer.status_code == status, (route.name, method, who, answer.text)
        for method, answer in await asked(served, route, path, saw.token):
            assert answer.status_code not in (401, 403), (route.name, method, answer.text)


def pages() -> Iterator[tuple[str, str, str]]:
    for prefix, router in ROUTERS:
        for route in router.routes:
            if isinstance(route, APIRoute):
                path = re.sub(r"\{[^}]*\}", "1", prefix + route.path)
                yield from ((route.name, method, path) for method in route.methods or ())


async def test_no_page_of_the_dashboard_is_a_workstations(served: Served, saw: Machine) -> None:
    wrong, looked_at = [], 0
    headers = {
        "Authorization": f"Bearer {saw.token}",
        "Cookie": f"{session.NAME}={saw.token}",
    }
    for name, method, path in pages():
        if access.VERDICTS[name] is access.OPEN:
            continue
        request = served.api.build_request(method, f"{served.url}{path}", headers=headers)
        answer = await served.api.send(request)
        looked_at += 1
        is_sent_away = answer.status_code in (401, 403) or (
            answer.status_code == 303 and "/ui/login" in answer.headers["location"]
        )
        if not is_sent_away:
            wrong.append((name, method, answer.status_code))
    assert wrong == []
    assert looked_at > 100


def sockets() -> list[str]:
    return [
        prefix + route.path
        for prefix, router in MOUNTED
        for route in router.routes
        if isinstance(route, (WebSocketRoute, APIWebSocketRoute))
    ]


async def test_a_connection_is_open_to_the_workstation_that_it_names_and_to_no_other(
    served: Served, saw: Machine, press: Machine
) -> None:
    admin = served.api.headers["authorization"].removeprefix("Bearer ")
    mine, others = "/api/v1/workstations/{workstation}/stream", "/api/v1/workers/stream"
    assert sorted(sockets()) == [others, mine]
    for token, status in ((press.token, 403), (admin, 401), ("nothing", 401)):
        assert await opened(served, mine.format(workstation=saw.name), token) == status
    assert await opened(served, mine.format(workstation=saw.name), saw.token) == 101
    assert await opened(served, others, saw.token) in (401, 403)


async def opened(served: Served, path: str, token: str) -> int:
    """The status that comes of it."""
    headers = {"Authorization": f"Bearer {token}"}
    try:
        async with connect(f"ws{served.url[4:]}{path}", additional_headers=headers, proxy=None):
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


# Messages.

SAID = cast("tuple[type, ...]", get_args(messages.FromAgent))
BODIES = cast("tuple[type, ...]", get_args(messages.Body))
GIVEN: dict[str, Any] = {
    "ending": "SUCCEEDED",
    "kind": "progress",
    "refusal": messages.Refusal.BUSY,
    "free": 1,
    "at": 1.0,
    "clock": 1.0,
    "pid": 7,
    "applied": True,
    "why": "mine",
}


@dataclass(frozen=True)
class Others:
    """What is somebody else's, and what one might say of it."""

    attempt: str
    command: int
    run: str
    row: str = "{}"
    tasks: tuple[str, ...] = ()


def about(kind: type, others: Others) -> Any:
    """A message of this kind that is about what is somebody else's, wherever it can be."""
    of_others: dict[str, Any] = {
        "attempt": others.attempt,
        "running": (others.attempt,),
        "command": others.command,
        "run": others.run,
        "row": others.row,
        "tasks": others.tasks,
        "data": '"not yours"',
    }
    hints = get_type_hints(kind)
    values = {}
    for each in fields(kind):
        if each.name in of_others:
            values[each.name] = of_others[each.name]
        elif each.default is MISSING and each.default_factory is MISSING:
            values[each.name] = GIVEN.get(each.name, plain(hints[each.name]))
    return kind(**values)


def plain(hint: Any) -> Any:
    return {str: "mine", int: 1, float: 1.0, bool: True, bytes: b"mine"}.get(hint, {})


def said_of(others: Others) -> list[tuple[str, Any]]:
    """Everything that an agent can say, about somebody else's."""
    found: list[tuple[str, Any]] = []
    for kind in SAID:
        if kind is Item:
            for body in BODIES:
                lane = Lane.RESULTS if body in (Ended, messages.Done) else Lane.EVENTS
                found.append((body.__name__, Item(lane, 0, about(body, others))))
        elif kind is Hello:
            found += [(f"Hello of {phase}", hello(others.attempt, phase)) for phase in Phase]
        elif kind is Log:
            data = b"not yours"
            found.append(("Log", Log(others.attempt, 0, data, zlib.crc32(data))))
        elif kind is File:
            data, digest = b"not yours", sha256(b"not yours").hexdigest()
            part = (0, data, zlib.crc32(data))
            found.append(("File", File(others.attempt, 1, "bill", len(data), digest, *part)))
        else:
            found.append((kind.__name__, about(kind, others)))
    return found


def hello(attempt: str, phase: Phase) -> Hello:
    last = (0,) * len(Lane)
    return Hello(0, 1, 1, "a book", 1, 1.0, last=last, known=(Known(attempt, phase, stored=0),))


KEPT = (
    "select 'run', row_to_json(r)::text from runs r",
    "select 'task', row_to_json(t)::text from tasks t",
    "select 'attempt', row_to_json(a)::text from attempts a",
    "select 'hand', row_to_json(h)::text from workstation_hands h",
    "select 'command', row_to_json(c)::text from workstation_commands c",
    "select 'output', row_to_json(o)::text from output_chunks o",
    "select 'file', row_to_json(f)::text from task_files f",
    "select 'part', row_to_json(p)::text from workstation_parts p",
    "select 'letter', row_to_json(d)::text from dead_letters d",
    "select 'history', row_to_json(h)::text from history h",
    "select 'other', row_to_json(w)::text from (select name, state, labels, session, lineage, have"
    " from workstations where starts_with(name, 'saw-')) w",
)


async def everything(served: Served) -> list[Any]:
    """All that is known of the runs and of the workstation that has them."""
    return [row for query in KEPT for row in sorted(await served.rows(query))]


async def test_nothing_that_a_workstation_says_of_anothers_attempt_changes_anything(
    served: Served, saw: Machine, press: Machine
) -> None:
    ordered, run = await order(served, saw), await a_run_of_its_own(served, saw)
    async with a_line(served, saw):
        offer = await saw.has_begun()
        await served.becomes("select 1 from workstation_hands where stage = 'RUNNING' and pid = 7")
    away = "select 1 from workstations where name = %s and server is null"
    await served.becomes(away, saw.name)
    drain = f"/workstations/{saw.name}/drain"
    assert (await served.api.post(drain, json={"reason": "x"})).is_success
    command = await served.one("select id from workstation_commands where done_at is null")
    before, wrong = await everything(served), []
    assert any(kind == "hand" for kind, _ in before)
    talk = Talk(served, press)
    for others in (
        await told_of(served, offer.attempt, command, ordered),
        await told_of(served, f"{run}/0.1", command, run),
    ):
        for name, message in said_of(others):
            await talk.say(message)
            after = await everything(served)
            if after != before:
                wrong.append((name, others.attempt, [e for e in after if e not in before]))
                before = after
    assert wrong == []
    # Of the one whose attempt it is, the same word counts.
    ended = about(Ended, Others(offer.attempt, command, ""))
    own = Talk(served, saw)
    await own.say(hello(offer.attempt, Phase.RUNNING))
    await own.say(Item(Lane.RESULTS, 0, ended))
    state = "select state::text from runs where id = %s"
    assert await served.one(state, ordered) == "COMPLETED"
    # And of a run of its own.
    await own.say(Item(Lane.EVENTS, 0, about(messages.RunTold, others)))
    assert await served.one(state, run) == "COMPLETED"


async def a_run_of_its_own(served: Served, machine: Machine) -> str:
    """One that this workstation decides about."""
    id = await order(served, machine)
    await served.conn.execute(
        "update runs set workstation = w.id from workstations w where w.name = %s and runs.id = %s",
        [machine.name, id],
    )
    await served.conn.execute("update tasks set queue = %s where run_id = %s", ["ws:own", id])
    return id


async def told_of(served: Served, attempt: str, command: int, run: str) -> Others:
    """As its own workstation would tell that it is over."""
    row = await served.one("select to_jsonb(r) from runs r where id = %s", run)
    tasks = await served.rows("select to_jsonb(t) from tasks t where run_id = %s", run)
    now = row["created_at"]
    row |= {"state": "COMPLETED", "started_at": now, "finished_at": now, "timeout": None}
    row |= {"open": 0, "attempt": None, "parent_run": None, "created_at": 1.0}
    over = {"state": "COMPLETED", "passed": True, "ready_seq": None, "finished_at": now}
    texts = [json.dumps({**task, **over}) for (task,) in tasks]
    return Others(attempt, command, run, json.dumps(row), tuple(texts))


class Talk:
    """Says one message after the other as a proper agent would: in a session, in order."""

    def __init__(self, served: Served, machine: Machine) -> None:
        self.served, self.machine = served, machine
        self.session, self.greeting = 0, 0
        self.seq = dict.fromkeys(Lane, 0)

    async def say(self, message: Any) -> list[Any]:
        if not self.session and not isinstance(message, Hello):
            await self.say(hello("1.1", Phase.ACCEPTED))
        if isinstance(message, Hello):
            self.greeting += 1
            message = cast("Any", replaced(message, greeting=self.greeting))
        if isinstance(message, Item):
            self.seq[message.lane] += 1
            message = replaced(message, seq=self.seq[message.lane])
        headers = {"Authorization": f"Bearer {self.machine.token}"}
        answer = await self.served.api.post(
            f"/workstations/{self.machine.name}/sync",
            content=wire.encode(Frame(self.session, (message,))),
            headers={**headers, "Content-Type": "application/json"},
        )
        assert answer.status_code == 200, answer.text
        frame = wire.decode(answer.text)
        self.session = frame.session or self.session
        return list(frame.messages)


def replaced(message: Any, **values: Any) -> Any:
    return type(message)(
        **{**{f.name: getattr(message, f.name) for f in fields(message)}, **values}
    )


async def test_every_message_that_can_be_said_is_in_the_table() -> None:
    others = Others("1.1", 1, "no run", "{}")
    said = {type(message) for _, message in said_of(others)}
    bodies = {type(m.body) for _, m in said_of(others) if isinstance(m, Item)}
    assert said == set(SAID)
    assert bodies == set(BODIES)
    for _, message in said_of(others):
        told = json.loads(wire.encode(Frame(1, (message,))))
        assert wire.decode(json.dumps(told)).messages == (message,)


async def test_what_is_offered_to_one_workstation_is_shown_to_no_other(
    served: Served, saw: Machine, press: Machine
) -> None:
    await order(served, saw)
    for fresh in (True, False, False):
        said = await poll(served, press, fresh=fresh)
        assert not [each for each in said if isinstance(each, messages.Offer)]
