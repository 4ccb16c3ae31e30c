"""The page that a workstation shows itself: what stands on it, and what is pressed there."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import httpx
import pytest

from edge.agent.local import Refused, Verbs
from edge.agent.page import http, server
from edge.agent.page.server import Page as TheirPage
from tests.support.browser import Page, unescaped
from tests.support.hostile_texts import STRIKES
from tests.support.waiting import patience, until

pytestmark = pytest.mark.anyio

FORM = {
    "type": "object",
    "required": ["diameter"],
    "properties": {"diameter": {"type": "number", "title": "Diameter"}},
}
STATUS: Mapping[str, Any] = {
    "name": "press-1", "state": "away", "since": 1_790_000_000.0, "draining": False,
    "drain_reason": None, "full": None, "unwritable": None, "slots": 2, "free": 1,
    "runner": {"pid": 1, "away": None}, "policy": {"fault": None},
    "waiting": {"results": 3, "events": 9, "outputs": 2, "metrics": 400, "log_bytes": 9000},
}  # fmt: skip
ATTEMPT: Mapping[str, Any] = {
    "attempt": "17.2", "phase": "running", "wanted": None, "argv": ["press"],
    "about": {"type": "press-line", "task": "press-it", "text": "Close the guard first."},
}  # fmt: skip


@dataclass
class Agent:
    """What the page asks of an agent, answered from what a test has put there."""

    status: dict[str, Any] = field(default_factory=lambda: {**STATUS, "attempts": [ATTEMPT]})
    lists: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    asked: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    refuses: str = ""
    page: TheirPage | None = None

    def verbs(self) -> Verbs:
        verbs = Verbs()
        verbs.add("status", lambda given: self.status)
        verbs.add("run", lambda given: {"input": {"tool": "W-7"}})
        for name in ("runs", "questions", "types", "coming"):
            verbs.add(name, partial(self.listed, name))
        for name in ("hold", "resume", "stop", "drain", "undrain", "answer", "start", "hold-run",
                     "reset-run"):  # fmt: skip
            verbs.add(name, partial(self.take, name))
        return verbs

    def listed(self, name: str, given: Mapping[str, Any]) -> Any:
        return self.lists.get(name, [])

    def take(self, name: str, given: Mapping[str, Any]) -> None:
        if self.refuses:
            raise Refused(self.refuses, "look again")
        self.asked.append((name, given))


@asynccontextmanager
async def shown(agent: Agent) -> AsyncIterator[httpx.AsyncClient]:
    page = agent.page = TheirPage(agent.verbs(), lambda: ("127.0.0.1:0", ()))
    working = asyncio.create_task(page.work())
    try:
        await until(lambda: page.at is not None)
        async with httpx.AsyncClient(
            base_url=f"http://{page.at}", trust_env=False, timeout=patience(20)
        ) as client:
            yield client
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


async def opened(client: httpx.AsyncClient, status: int = 200) -> Page:
    answer = await client.get("/")
    assert answer.status_code == status, answer.text[-600:]
    return Page(answer)


async def sent(client: httpx.AsyncClient, ending: str, **fields: str) -> httpx.Response:
    form = (await opened(client)).form(ending)
    origin = str(client.base_url).rstrip("/")
    headers = {"Origin": origin, "Sec-Fetch-Site": "same-origin"}
    return await client.post(form.action, data={**dict(form.fields), **fields}, headers=headers)


async def test_it_says_that_it_works_alone_and_what_it_has_to_send() -> None:
    async with shown(Agent()) as client:
        page = await opened(client)
        assert "Working alone since" in page.text
        assert "14 updates to send" in page.text
        assert "press-line" in page.text
        assert "Close the guard first." in page.text
        assert page.answer.headers["content-security-policy"].startswith("default-src 'none'")


async def test_what_is_pressed_is_asked_of_the_agent() -> None:
    agent = Agent()
    async with shown(agent) as client:
        answer = await sent(client, "/do/hold")
        assert (answer.status_code, answer.headers["location"]) == (303, "/?said=hold")
        agent.status["attempts"] = [{**ATTEMPT, "wanted": "hold"}]
        assert (await sent(client, "/do/resume")).status_code == 303
        assert (await sent(client, "/do/stop", why="smoke")).status_code == 303
        assert (await sent(client, "/do/drain", reason="the blade is worn")).status_code == 303
    assert agent.asked == [
        ("hold", {"attempt": "17.2", "why": ""}),
        ("resume", {"attempt": "17.2", "why": ""}),
        ("stop", {"attempt": "17.2", "why": "smoke"}),
        ("drain", {"why": "the blade is worn"}),
    ]


async def test_runs_that_are_decided_here_are_held_and_begun_again() -> None:
    run = {"run": "r1", "type": "tool-change", "state": "IN_PROGRESS", "task": "lift", "total": 3}
    run["text"] = "Lift ${{ input.tool }} out."
    agent = Agent(lists={"runs": [run, {**run, "run": "r2", "state": "FAILED", "error": "E17"}]})
    agent.status["attempts"] = []
    async with shown(agent) as client:
        page = await opened(client)
        assert "E17" in page.text
        assert "Lift W-7 out." in page.text
        await sent(client, "/do/hold")
        await sent(client, "/do/reset")
    assert [(verb, given["run"]) for verb, given in agent.asked] == [
        ("hold-run", "r1"), ("reset-run", "r2"),
    ]  # fmt: skip


async def test_a_question_is_answered_with_its_form_and_what_was_wrong_stays_written() -> None:
    asks = {"id": 7, "message": "Is the first piece good?", "type": "release", "form": FORM}
    agent = Agent(lists={"questions": [asks]})
    async with shown(agent) as client:
        answer = await sent(client, "/do/answer", decision="approve", **{"data.diameter": "wide"})
        page = Page(answer)
        assert answer.status_code == 422
        assert "is no number" in page.text
        assert dict(page.form("/do/answer").fields)["data.diameter"] == "wide"
        answer = await sent(client, "/do/answer", decision="approve", **{"data.diameter": "41.5"})
        assert answer.headers["location"] == "/?said=approved"
    [(verb, given)] = agent.asked
    assert (verb, given["id"], given["approve"], given["data"]) == (
        "answer", 7, True, {"diameter": 41.5},
    )  # fmt: skip


async def test_a_process_is_started_with_its_input_and_a_key_of_its_form() -> None:
    agent = Agent(lists={"types": [{"name": "tool-change", "input": FORM}]})
    async with shown(agent) as client:
        answer = await sent(client, "/do/start", **{"input.diameter": "12"})
        assert answer.headers["location"] == "/?said=start"
    [(verb, given)] = agent.asked
    assert (verb, given["type"], given["input"]) == ("start", "tool-change", {"diameter": 12})
    assert len(given["key"]) == 32


async def test_a_page_without_a_script_does_not_go_while_somebody_writes_on_it() -> None:
    agent = Agent(lists={"types": [{"name": "tool-change", "input": FORM}]})
    async with shown(agent) as client:
        assert 'http-equiv="refresh"' in (await opened(client)).answer.text
        [stays] = [each for each in (await opened(client)).links if "begin=" in each]
        page = Page(await client.get("/" + stays))
        assert 'http-equiv="refresh"' not in page.answer.text
        assert ("details", "open") in {(tag, name) for tag, told in page.tags for name in told}
        agent.lists["questions"] = [{"id": 7, "message": "Good?", "form": FORM}]
        page = await opened(client)
        assert 'http-equiv="refresh"' not in page.answer.text
        assert "Look again" in page.text


async def test_what_the_agent_refuses_is_told_on_the_page() -> None:
    async with shown(Agent(refuses="it is being stopped")) as client:
        answer = await sent(client, "/do/hold")
        assert answer.status_code == 422
        assert "it is being stopped" in Page(answer).text


@pytest.mark.parametrize(
    "headers",
    [{}, {"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}],
)
async def test_a_form_that_another_page_sends_presses_nothing(headers: dict[str, str]) -> None:
    agent = Agent()
    async with shown(agent) as client:
        form = (await opened(client)).form("/do/hold")
        answer = await client.post(form.action, data=dict(form.fields), headers=headers)
        assert answer.status_code == 403
        forged = {"Origin": str(client.base_url).rstrip("/")}
        answer = await client.post(form.action, data={"id": "attempt 17.2"}, headers=forged)
        assert answer.status_code == 403
        assert (await client.get("/do/hold")).status_code == 404
        assert (await client.get("/", headers={"Host": "evil.example"})).status_code == 421
    assert agent.asked == []


async def test_what_is_hostile_is_shown_as_the_text_that_it_is() -> None:
    text = "\n".join(STRIKES)
    about = {"type": text, "task": text, "text": text, "record": text}
    agent = Agent(
        lists={
            "runs": [{"run": text, "type": text, "state": text, "error": text, "text": text}],
            "questions": [
                {"id": text, "message": text, "type": text, "form": {"properties": {text: {}}}}
            ],
            "types": [{"name": text, "description": text, "input": {"properties": {text: {}}}}],
            "coming": [{"type": text, "task": text}],
        }
    )
    agent.status["attempts"] = [{**ATTEMPT, "attempt": text, "about": about}]
    async with shown(agent) as client:
        assert unescaped(await opened(client), STRIKES) == []


async def test_what_lives_on_the_page_comes_without_a_token_and_is_told_of_when_it_changes() -> (
    None
):
    agent = Agent()
    async with shown(agent) as client:
        live = Page(await client.get("/", headers={"X-Live": "x"}))
        assert {dict(each.fields)["_form"] for each in live.forms} == {""}
        told = next(attrs for tag, attrs in (await opened(client)).tags if tag == "body")
        params = {"since": told["data-heard"]}
        async with client.stream("GET", "/stream", params=params) as stream:
            lines = stream.aiter_lines()
            assert await anext(lines) == "retry: 2000"
            agent.status["attempts"] = []
            heard = [line async for line in first_word(lines)]
        assert heard[-1] == "event: changed"


async def first_word(lines: AsyncIterator[str]) -> AsyncIterator[str]:
    async for line in lines:
        yield line
        if line.startswith("event:"):
            return


async def test_the_script_and_the_style_are_the_dashboards() -> None:
    async with shown(Agent()) as client:
        page = await opened(client)
        kinds = {}
        for tag, told in page.tags:
            for name in ("src", "href"):
                if told.get(name, "").startswith("/ui/static/") and tag in ("script", "link"):
                    answer = await client.get(told[name])
                    kinds[told[name].partition("?")[0]] = (
                        answer.status_code, answer.headers["content-type"],
                    )  # fmt: skip
        assert kinds == {
            "/ui/static/style.css": (200, "text/css"),
            "/ui/static/live.js": (200, "text/javascript"),
            "/ui/static/icon.svg": (200, "image/svg+xml"),
        }
        assert (await client.get("/ui/static/../frame.py")).status_code == 404


async def test_whoever_says_nothing_or_too_much_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "PATIENCE", 0.3)
    async with shown(Agent()) as client:
        port = client.base_url.port or 0
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost:")
        assert b" 408 " in await reader.readline()
        writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nX: " + b"y" * 40_000)
        assert b" 431 " in await reader.readline()
        writer.close()
        await opened(client)


async def test_whoever_goes_while_they_listen_is_no_fault_of_the_page(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "LOOK", 0.01)
    agent = Agent()
    numbers = itertools.count()

    def has_noticed() -> bool:
        agent.status["attempts"] = [{**ATTEMPT, "attempt": f"{next(numbers)}.1"}]
        assert agent.page is not None
        return agent.page.streams == 0

    async with shown(agent) as client:
        async with client.stream("GET", "/stream") as stream:
            assert stream.status_code == 200
        await until(has_noticed)
        await opened(client)
    assert not [each for each in caplog.records if each.levelname == "ERROR"]


async def test_no_more_listen_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "STREAMS", 1)
    async with shown(Agent()) as client, client.stream("GET", "/stream") as stream:
        assert stream.status_code == 200
        assert (await client.get("/stream")).status_code == 503
        await opened(client)
