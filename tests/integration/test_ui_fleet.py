"""Workers, queues and limits on the dashboard."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from scheduler.services import queues as service
from scheduler.services.access import Role
from scheduler.store import remote
from scheduler.store.remote import Session
from tests.support.api import Api, serving
from tests.support.browser import Browser, Page, signed_in
from tests.support.builders import (
    a_holder,
    a_promoter,
    claimed,
    declare_gone,
    engine,
    publish,
    start,
)

pytestmark = pytest.mark.anyio

LIMITED = """
name: presses
max_parallel: 2
tasks:
  - {name: press, noop: true}
"""


@pytest.fixture
async def api(dsn: str) -> AsyncIterator[Api]:
    async with serving(dsn) as api:
        yield api


@pytest.fixture
async def someone(api: Api) -> AsyncIterator[Browser]:
    async with signed_in(api, Role.OPERATOR) as browser:
        yield browser


async def busy(dsn: str, name: str = "press-1", runs: int = 3) -> None:
    """A worker that has two tasks in hand, and more that wait."""
    async with await engine(dsn) as conn:
        await publish(conn, "name: plain\ntasks: [{name: work, noop: true}]")
        for _ in range(runs):
            await start(conn, "plain")
        await claimed(conn, await a_holder(conn, name), 2)


async def sent(someone: Browser, page: str, ending: str, **fields: Any) -> Page:
    answer = await someone.send((await someone.open(page)).form(ending), **fields)
    assert answer.status_code == 303, answer.text[-800:]
    return await someone.open(answer.headers["location"])


async def test_a_worker_shows_what_it_has_in_hand_and_is_drained_and_resumed(
    api: Api, dsn: str, someone: Browser
) -> None:
    await busy(dsn)
    page = await someone.open("/ui/workers")
    assert "2 of 8 slots" in page.text
    assert "plain work" in page.text
    page = await sent(someone, "/ui/workers/press-1", "/drain")
    assert "It claims nothing more" in page.text
    assert "draining" in page.text
    assert "It is draining already" in page.text
    page = await sent(someone, "/ui/workers/press-1", "/resume")
    [worker] = (await api.admin.get("/workers")).json()["items"]
    assert worker["status"] == "ACTIVE"


async def test_a_program_with_an_sdk_is_shown_with_what_it_serves(
    dsn: str, someone: Browser
) -> None:
    said = Session(
        session=str(uuid4()),
        token=1,
        host="hall-3",
        pid=7,
        version="sdk 1.0 (node)",
        sdk="sdk 1.0 (node)",
        queues=["action:resize"],
        slots=4,
        carrier="stream",
        connection=uuid4(),
    )
    async with await engine(dsn) as conn:
        await remote.register(conn, "remote:images", said, timedelta(minutes=1))
    page = await someone.open("/ui/workers")
    for words in ("remote:images", "hall-3", "process 7", "action:resize", "sdk 1.0 (node)"):
        assert words in page.text
    assert "the server has" not in page.text
    page = await sent(someone, "/ui/workers/remote:images", "/drain")
    assert "Resume" in page.text


async def test_many_workers_are_shown_before_they_are_drained_and_none_is_never_all(
    api: Api, dsn: str, someone: Browser
) -> None:
    for name in ("one", "two", "three"):
        await busy(dsn, name, runs=0)
    token = await someone.form_token()
    nothing = await someone.post("/ui/workers/chosen/decide", {"_form": token, "action": "drain"})
    assert nothing.status_code == 422
    chosen = {"_form": token, "id": ["one", "three", "never-was"], "action": "drain"}
    preview = Page(await someone.post("/ui/workers/chosen/confirm", chosen))
    form = preview.form("/decide")
    assert [value for name, value in form.fields if name == "id"] == ["one", "three"]
    done = Page(await someone.post(form.action, chosen))
    assert "2 workers told to drain" in done.text
    assert "never-was" in done.text
    states = {
        each["name"]: each["status"] for each in (await api.admin.get("/workers")).json()["items"]
    }
    assert states == {"one": "DRAINING", "two": "ACTIVE", "three": "DRAINING"}


async def test_a_worker_that_is_gone_shows_what_it_had(
    api: Api, dsn: str, someone: Browser
) -> None:
    async with await engine(dsn) as conn:
        await publish(conn, "name: plain\ntasks: [{name: work, noop: true, on_lost: wait}]")
        await start(conn, "plain")
        holder = await a_holder(conn, "press-1")
        await claimed(conn, holder)
        await declare_gone(conn, holder)
    page = await someone.open("/ui/workers/press-1")
    assert "gone" in page.text
    assert "plain work" in page.text
    page = await someone.open("/ui/workers?status=GONE")
    assert "press-1" in page.text
    await someone.open("/ui/workers/never-was", 404)
    answer = await someone.post("/ui/workers/press-1/drain", {"_form": await someone.form_token()})
    assert answer.status_code == 404
    assert "no living worker" in Page(answer).text


async def test_workers_go_page_by_page_and_as_a_file(dsn: str, someone: Browser) -> None:
    async with await engine(dsn) as conn:
        for number in range(53):
            await a_holder(conn, f"press-{number:02}")
    page = await someone.open("/ui/workers")
    assert "press-49" in page.text
    assert "press-50" not in page.text
    [next] = {each for each in page.links if "cursor=" in each}
    assert "press-52" in (await someone.open(next)).text
    told = (await someone.client.get("/ui/workers?format=csv&q=press-1")).text.splitlines()
    assert len(told) == 11
    assert told[1].startswith("press-10,ACTIVE,worker,here,1,0,default,8,0,")


async def test_a_queue_is_paused_with_a_note_resumed_and_given_a_size(
    api: Api, dsn: str, someone: Browser
) -> None:
    await busy(dsn)
    page = await someone.open("/ui/queues")
    assert "default" in page.text
    page = await sent(someone, "/ui/queues/default", "/pause", note="the press is cleaned")
    assert "the press is cleaned" in page.text
    assert "paused" in (await someone.open("/ui/queues")).text
    await sent(someone, "/ui/queues/default", "/resume")
    page = await sent(someone, "/ui/queues/default", "/size", size="7")
    [queue] = (await api.admin.get("/queues")).json()["items"]
    assert (queue["size"], queue["paused_at"]) == (7, None)
    assert "queue:default" in (await someone.open("/ui/limits")).text
    await sent(someone, "/ui/queues/default", "/size", size="")
    [queue] = (await api.admin.get("/queues")).json()["items"]
    assert queue["size"] is None


PLACED = """
name: placed
tasks:
  - {name: one, run: x, on: {workstation: {labels: {line: "2"}}}}
"""


async def test_a_queue_of_a_place_is_served_by_workstations(dsn: str, someone: Browser) -> None:
    async with await engine(dsn) as conn:
        await publish(conn, PLACED)
        await start(conn, "placed")
        page = await someone.open("/ui/queues/on:line=2")
        assert "There is no such workstation" in page.text
        await conn.execute(
            "insert into workstations (name, state, labels, public_key, created_by) "
            "values ('press-2', 'ACCEPTED', '{\"line\": \"2\"}', 'key', 'test')"
        )
    page = await someone.open("/ui/queues/on:line=2")
    assert "What is here waits for a workstation with line: 2" in page.text
    assert "PROCESSION_WORKER__QUEUES" not in page.text
    assert "1 workstation" in (await someone.open("/ui/queues")).text


@pytest.mark.parametrize("size", ["0", "many", "100001", "-1", "1" * 30])
async def test_a_size_that_makes_no_sense_is_told_and_kept_in_its_field(
    dsn: str, someone: Browser, size: str
) -> None:
    await busy(dsn, runs=1)
    form = (await someone.open("/ui/queues/default")).form("/size")
    answer = await someone.send(form, size=size)
    assert answer.status_code == 422
    page = Page(answer)
    assert "size" in page.text
    assert dict(page.form("/size").fields)["size"] == size


async def test_a_limit_shows_who_has_its_places_and_who_waits(dsn: str, someone: Browser) -> None:
    async with await engine(dsn) as conn:
        await service.resize(conn, "default", 1, by="test")
        await publish(conn, LIMITED)
        for _ in range(4):
            await start(conn, "presses")
        await a_promoter().tick(conn)
    page = await someone.open("/ui/limits")
    assert "queue:default" in page.text
    assert "type:presses" in page.text
    page = await someone.open("/ui/limits/queue:default")
    assert "1 of 1" in page.text
    assert "Who waits" in page.text
    assert page.text.count("press") > 3
    await someone.open("/ui/limits/key:nothing", 404)
    told = (await someone.client.get("/ui/limits?format=json")).json()
    assert {each["key"] for each in told} == {"queue:default", "type:presses"}


async def test_a_viewer_sees_why_a_button_is_grey(api: Api, dsn: str) -> None:
    await busy(dsn)
    async with signed_in(api, Role.VIEWER) as viewer:
        for path in ("/ui/queues/default", "/ui/workers/press-1"):
            page = await viewer.open(path)
            assert "takes an operator; you are viewer" in page.text
            assert not [each for each in page.forms if "/ui/workers/" in each.action]
            assert not [each for each in page.forms if "/ui/queues/" in each.action]
