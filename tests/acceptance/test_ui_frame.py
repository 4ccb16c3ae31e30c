"""What stands around every page, in a real browser: keys, the palette, zones, ways in and out."""

import asyncio
import re

import pytest
from playwright.async_api import Browser, expect

from scheduler.services.access import Role
from tests.acceptance.conftest import Visit
from tests.support import pages
from tests.support.system import Asking

pytestmark = pytest.mark.anyio

TYPE = {"name": "kiln-7", "tasks": [{"name": "fire", "noop": True}]}


async def test_everything_is_reached_by_keys(visit: Visit, api: Asking) -> None:
    await api.publish(TYPE)
    run = await api.post("/runs", {"type": "kiln-7"})
    someone = await visit(Role.OPERATOR)
    page = someone.page
    await someone.open("/ui/runs?type=kiln-7")
    await page.keyboard.press("Control+k")
    palette = page.get_by_role("dialog", name="Go to")
    await page.keyboard.type("queues")
    await expect(palette.get_by_role("option").first).to_contain_text("Queues and limits")
    await page.keyboard.press("Enter")
    await page.wait_for_url(re.compile(r"/ui/queues$"))

    await page.keyboard.press("Control+k")
    await page.keyboard.type("kiln-7")
    await expect(palette.get_by_text("Start kiln-7")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(palette).not_to_be_visible()

    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog", name="Keys")).to_contain_text("Dead letters")
    await page.keyboard.press("Escape")

    await page.keyboard.press("g")
    await page.keyboard.press("r")
    await page.wait_for_url(re.compile(r"/ui/runs$"))
    await someone.open("/ui/runs?type=kiln-7")
    await page.keyboard.press("j")
    await page.keyboard.press("Enter")
    await page.wait_for_url(re.compile(f"/ui/runs/{run['id']}$"))


async def test_times_are_told_in_the_zone_of_the_browser_if_one_likes(visit: Visit) -> None:
    someone = await visit(Role.VIEWER, timezone_id="Asia/Tokyo")
    page = someone.page
    await someone.open("/ui/runs?status=FAILED")
    await page.locator("#zone summary").click()
    await page.get_by_role("button", name="Mine: Asia/Tokyo").click()
    await expect(page.locator("#zone summary")).to_contain_text("JST")
    assert page.url.endswith("/ui/runs?status=FAILED")


async def test_the_code_of_a_link_does_not_stay_in_the_address(visit: Visit, api: Asking) -> None:
    link = await api.post("/login-links", {})
    someone = await visit(None)
    page = someone.page
    await page.goto(someone.url + link["path"])
    assert link["code"] not in page.url
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url(re.compile(r"/ui$"))
    await expect(page.get_by_role("heading", name="Running now")).to_be_visible()


async def test_an_open_page_says_that_it_is_live_and_when_one_is_shut_out(
    visit: Visit, api: Asking
) -> None:
    made = await api.post("/tokens", {"name": "short", "role": "viewer"})
    someone = await visit(None)
    await someone.sign_in(made["token"])
    mark = someone.page.locator("#live")
    await expect(mark).to_have_text("live")
    assert (await api.http.delete(f"/tokens/{made['id']}")).is_success
    await expect(mark).to_have_text("signed out")


async def test_on_a_phone_the_navigation_is_a_menu_without_a_script_too(visit: Visit) -> None:
    someone = await visit(Role.VIEWER, scripts=False, size=(390, 844))
    page = someone.page
    link = page.get_by_role("navigation", name="Main").get_by_role("link", name="Schedules")
    await expect(link).not_to_be_visible()
    await page.get_by_role("button", name="Menu").click()
    await link.click()
    await page.wait_for_url(re.compile(r"/ui/schedules$"))


PAINTED = """() => new Promise((done) => {
  requestAnimationFrame(() => requestAnimationFrame(done));
  setTimeout(done, 500);  // nothing is painted, and nothing will be
})"""


async def test_nothing_moves_if_a_page_comes_in_pieces(
    visit: Visit, api: Asking, chromium: Browser
) -> None:
    await api.publish(TYPE)
    run = await api.post("/runs", {"type": "kiln-7"})
    someone = await visit(Role.VIEWER)
    path = f"/ui/runs/{run['id']}/tasks/0"
    whole = await (await someone.context.request.get(someone.url + path)).body()
    page = re.sub(rb' data-stream="[^"]*"', b"", whole)
    cut, rest = page.index(b"<dt>Began</dt>"), asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
        if asked == path:
            writer.write(b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n" + page[:cut])
            await rest.wait()
            writer.write(page[cut:])
        else:
            found = await someone.context.request.get(someone.url + asked)
            kind = found.headers["content-type"].encode()
            writer.write(b"HTTP/1.0 200 OK\r\nContent-Type: " + kind + b"\r\n\r\n")
            writer.write(await found.body())
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as slow:
        url = f"http://127.0.0.1:{slow.sockets[0].getsockname()[1]}"
        async with pages.visitor(chromium, url) as other:
            await other.page.goto(url + path, wait_until="commit")
            await other.page.wait_for_selector(".tiles dt", state="attached")
            await other.page.evaluate(PAINTED)
            rest.set()
            await expect(other.page.locator("#events")).to_be_visible()
            await other.page.evaluate(PAINTED)
            assert await other.shift() == []
