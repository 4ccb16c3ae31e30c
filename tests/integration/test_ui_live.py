"""Open pages: what they are told, what is read for them, and who is told no more."""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack
from html.parser import HTMLParser
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import Request
from fastapi.routing import APIRoute

from scheduler.domain.wakes import Wake
from scheduler.services import access
from scheduler.services.access import Role
from tests.support.api import Api, serving
from tests.support.browser import OWN, VOID, Browser, browser, signed_in
from tests.support.builders import engine
from tests.support.statements import counted
from ui import app, attention, live, sharing

pytestmark = pytest.mark.anyio

PEOPLE = 200
WITHIN = 20.0  # a machine that is busy takes its time


@pytest.fixture
async def api(dsn: str) -> AsyncIterator[Api]:
    async with serving(dsn) as api:
        yield api


def asking(api: Api, someone: Browser, since: str = "") -> Request:
    """The request of a page's stream."""
    cookies = "; ".join(f"{name}={value}" for name, value in someone.client.cookies.items())
    headers = [(b"cookie", cookies.encode()), (b"host", b"server")]
    scope: dict[str, Any] = {
        "type": "http", "method": "GET", "scheme": "http", "path": "/ui/stream", "root_path": "",
        "query_string": f"since={since}".encode(), "headers": headers, "app": api.app,
        "server": ("server", 80), "client": ("127.0.0.1", 1), "state": {},
    }  # fmt: skip
    return Request(scope)


async def word(stream: AsyncGenerator[str, None]) -> str:
    """The next number that a page is told."""
    async with asyncio.timeout(WITHIN):
        said = await anext(stream)
    found = re.fullmatch(r"id: (\S+)\nevent: changed\ndata: \1\n\n", said)
    assert found, said
    return found[1]


async def listening(api: Api, someone: Browser, run: UUID | None = None, since: str = "") -> Any:
    stream = live.words(asking(api, someone, since), run)
    assert await anext(stream) == "retry: 1000\n\n"
    return stream


def changed(api: Api, run: UUID) -> None:
    wake = Wake()
    wake.add(runs=[run])
    api.app.state.server.hub.heard(wake)


async def asked(someone: Browser, path: str, heard: str) -> httpx.Response:
    return await someone.client.get(path, headers={**OWN, "X-Live": heard})


async def asked_again(someone: Browser, path: str, heard: str) -> httpx.Response:
    answer = await asked(someone, path, heard)
    while answer.status_code == 503:  # on a busy machine a database may be late
        answer = await asked(someone, path, heard)
    assert answer.status_code == 200, answer.text
    return answer


async def test_a_page_hears_of_each_change_of_its_run_and_of_no_other(api: Api) -> None:
    mine, other = UUID(int=7), UUID(int=8)
    async with signed_in(api) as someone:
        stream = await listening(api, someone, mine)
        first = await word(stream)  # so nothing is missed before it began
        changed(api, other)
        changed(api, mine)
        second = await word(stream)
        assert number(second) > number(first)
        await stream.aclose()
        await asyncio.sleep(0)  # the bell falls silent in a turn of its own
    assert len(api.app.state.server.hub) == 0
    assert len(api.app.state.live.bell) == 0


def number(word: str) -> int:
    return int(word.partition("-")[2])


async def test_who_comes_back_is_told_what_happened_meanwhile_and_only_then(api: Api) -> None:
    run = UUID(int=7)
    async with signed_in(api) as someone, signed_in(api) as other:
        stays = await listening(api, other, run)
        heard = await word(stays)
        missing = await listening(api, someone, run, since=heard)
        waits = asyncio.create_task(word(missing))
        changed(api, run)
        later = await word(stays)
        assert await waits == later  # and nothing before it
        await missing.aclose()
        changed(api, run)
        last = await word(stays)
        back = await listening(api, someone, run, since=later)
        assert await word(back) == last
        await back.aclose()
        await stays.aclose()


async def test_numbers_of_another_server_say_nothing_here(api: Api) -> None:
    bell = api.app.state.live.bell
    assert bell.heard(bell.spoken(17)) == 17
    for said in ("", None, "17", "00000000-17", f"{bell.life}-", f"{bell.life}-x", "-", "\u0663"):
        assert bell.heard(said) == 0


async def test_two_hundred_open_pages_cost_the_database_what_one_does(api: Api, dsn: str) -> None:
    await api.publish()
    run = await api.start()
    path = f"/ui/runs/{run['id']}"
    costs = [await calmly(api, dsn, path, UUID(run["id"]), people) for people in (1, PEOPLE)]
    assert 0 < costs[0] == costs[1]


async def calmly(api: Api, dsn: str, path: str, run: UUID, people: int) -> int:
    """Once more if the database was late: then more than one answer was begun."""
    while (found := await cost(api, dsn, path, run, people)) is None:
        pass
    return found


async def cost(api: Api, dsn: str, path: str, run: UUID, people: int) -> int | None:
    """Statements that one change costs, with that many pages open of as many people."""
    async with AsyncExitStack() as stack:
        everybody = [await stack.enter_async_context(browser(api)) for _ in range(people)]
        tokens = await tokens_for(dsn, people)
        for someone, token in zip(everybody, tokens, strict=True):
            someone.client.cookies.set("procession", token)
        for someone in everybody:
            await sharing.recognised(asking(api, someone))  # as when they opened the page
        streams = [await listening(api, someone, run) for someone in everybody]
        await asyncio.gather(*(word(each) for each in streams))
        attention.LATENESS.forget()  # what is looked up four times a minute, whoever looks
        with counted() as sent:
            changed(api, run)
            heard = await asyncio.gather(*(word(each) for each in streams))
            assert len(set(heard)) == 1
            answers = await asyncio.gather(
                *(
                    asked(someone, path, said)
                    for someone, said in zip(everybody, heard, strict=True)
                )
            )
        for each in streams:
            await each.aclose()
        if any(answer.status_code == 503 for answer in answers):
            return None
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.text for answer in answers}) == 1
        return len(sent)


async def tokens_for(dsn: str, people: int) -> list[str]:
    async with await engine(dsn) as conn:
        return [
            await access.create_token(conn, f"page {place}", Role.OPERATOR)
            for place in range(people)
        ]


async def test_what_is_asked_again_shows_all_that_was_told(api: Api) -> None:
    """Whatever was drawn for somebody else before."""
    await api.publish()
    run = await api.start()
    path, id = f"/ui/runs/{run['id']}", UUID(run["id"])
    async with signed_in(api) as someone:
        stream = await listening(api, someone, id)
        heard = await word(stream)
        assert "held" not in badges(await asked_again(someone, path, heard))
        assert (await api.admin.post(f"/runs/{run['id']}/hold", json={})).is_success
        while "held" not in badges(await asked_again(someone, path, heard := await word(stream))):
            pass
        await stream.aclose()


def badges(answer: httpx.Response) -> str:
    return " ".join(re.findall(r'id="head".*?</div>', answer.text, re.DOTALL))


async def test_what_everybody_gets_holds_nothing_of_anybody(api: Api) -> None:
    await api.publish()
    async with signed_in(api, Role.OPERATOR) as someone:
        word = api.app.state.live.bell.spoken(0)
        answer = await asked_again(someone, "/ui", word)
        assert "the operator" not in answer.text
        assert 'name="_form" value=""' in answer.text or "_form" not in answer.text
        whole = (await someone.open("/ui")).answer.text
        assert "the operator" in whole


async def test_rights_are_never_mixed(api: Api) -> None:
    await api.publish()
    run = await api.start()
    path = f"/ui/runs/{run['id']}"
    async with signed_in(api, Role.OPERATOR) as one, signed_in(api, Role.VIEWER) as other:
        word = api.app.state.live.bell.spoken(0)
        assert f"{path}/hold" in (await asked_again(one, path, word)).text
        assert f"{path}/hold" not in (await asked_again(other, path, word)).text
        answer = await other.client.get("/ui/processes/two/start", headers={"X-Live": word})
        assert answer.status_code == 403


async def test_a_person_who_is_shut_out_is_out_at_once(api: Api) -> None:
    made = (await api.admin.post("/tokens", json={"name": "short", "role": "viewer"})).json()
    async with browser(api) as someone:
        someone.client.cookies.set("procession", made["token"])
        await someone.open("/ui")
        stream = await listening(api, someone)
        await word(stream)
        assert api.app.state.live.presence.find(made["token"]) is not None
        assert (await api.admin.delete(f"/tokens/{made['id']}")).is_success
        async with asyncio.timeout(WITHIN):
            said = [each async for each in stream]
        assert said[-1] == "event: over\ndata: signed out\n\n"
        answer = await someone.client.get("/ui", headers={"X-Live": "x"}, follow_redirects=False)
        assert answer.status_code in (303, 401)


async def test_who_was_looked_up_before_something_changed_is_not_kept(api: Api) -> None:
    async with signed_in(api) as someone:
        request = asking(api, someone)
        presence = sharing.live_of(request).presence
        person = await sharing.recognised(request)
        presence.forget({"token:999999"})
        presence.forget({f"token:{person.caller.id}"})
        assert presence.find(person.secret) is None
        presence.keep(person, asked_at=presence.forgotten - 1)
        assert presence.find(person.secret) is None


async def test_nobody_is_remembered_while_nothing_is_heard(api: Api) -> None:
    async with signed_in(api) as someone:
        request = asking(api, someone)
        presence, hub = sharing.live_of(request).presence, api.app.state.server.hub
        person = await sharing.recognised(request)
        async with asyncio.timeout(WITHIN):
            while presence.find(person.secret) is None:
                await sharing.recognised(request)
                await asyncio.sleep(0.01)
        hub.deaf()
        assert presence.find(person.secret) is None


# Pages that say something else each time they are looked at.
RESTLESS = {"/ui/system"}


def own_pages(run: str) -> list[str]:
    """Every page that needs no more than an address, and those of a run."""
    paths = {
        f"{prefix}{route.path}"
        for prefix, router in app.ROUTERS
        for route in router.routes
        if isinstance(route, APIRoute) and "GET" in (route.methods or ()) and "{" not in route.path
    }
    of_run = [f"/ui/runs/{run}{tab}" for tab in ("", "/graph", "/data", "/events")]
    return [*sorted(paths - RESTLESS - {"/", "/ui/stream", "/ui/login"}), *of_run]


def living(text: str) -> dict[str, str]:
    """What is put anew into an open page, by id; times that pass and tokens left out."""
    found = LivingParts()
    found.feed(text)
    return {
        name: re.sub(r"\d+([.,]\d+)? (ms|s|min)|within|slowly|now", "", " ".join(said))
        for name, said in found.parts.items()
    }


class LivingParts(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.parts: dict[str, list[str]] = {}
        self._inside: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        if tag not in VOID:
            here = told.get("id") if "data-live" in told else None
            self._inside.append((tag, here))
            if here:
                self.parts[here] = []
        if told.get("name") != "_form":
            self._say(f"<{tag} {told.get('href', '')}>")

    def handle_endtag(self, tag: str) -> None:
        if any(each == tag for each, _ in self._inside):
            while self._inside.pop()[0] != tag:
                pass

    def handle_data(self, data: str) -> None:
        self._say(" ".join(data.split()))

    def _say(self, text: str) -> None:
        for _, name in self._inside:
            if name and text:
                self.parts[name].append(text)


async def differing(someone: Browser, path: str) -> set[str]:
    """Parts of a page that are another for whoever asks again."""
    whole = await someone.client.get(path, headers={"Sec-Fetch-Site": "same-origin"})
    if whole.status_code != 200 or "html" not in whole.headers["content-type"]:
        return set()
    again = await asked_again(someone, path, "none")
    return {name for name, _ in living(whole.text).items() - living(again.text).items()}


@pytest.mark.parametrize("role", [Role.VIEWER, Role.ADMIN])
async def test_what_is_asked_again_is_what_the_page_shows(api: Api, role: Role) -> None:
    """Made for nobody in particular, and yet the same: or the page is somebody's own."""
    await api.publish()
    run = (await api.start())["id"]
    wrong = {}
    async with signed_in(api, role) as someone:
        for path in own_pages(run):
            for _ in range(3):  # something may have happened between the two
                wrong[path] = await differing(someone, path)
                if not wrong[path]:
                    del wrong[path]
                    break
    assert not wrong
