"""A real browser of a test: chromium, which reaches one server, and what goes wrong in a page."""

import json
import os
import re
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    Response,
    async_playwright,
    expect,
)

PROGRAM = "PROCESSION_CHROMIUM"
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--no-proxy-server", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)  # fmt: skip
WIDE, PHONE = (1280, 800), (390, 844)
SOON = 15_000  # milliseconds; whoever waits longer waits in vain
expect.set_options(timeout=SOON)

# Told to every page before its own script: what the policy refuses, and what moves by itself.
WATCH = """
document.addEventListener('securitypolicyviolation', (event) =>
  told('policy', `${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
window.shifted = [];
new PerformanceObserver((list) => {
  for (const each of list.getEntries()) {
    if (!each.hadRecentInput) window.shifted.push([each.value, each.sources.map((source) =>
      source.node?.nodeType === 1 ? source.node.outerHTML.slice(0, 120) : '')]);
  }
}).observe({type: 'layout-shift', buffered: true});
"""


def program() -> str:
    """Where chromium is; a test without it is passed over, but never where changes are judged."""
    found = os.environ.get(PROGRAM) or shutil.which("chromium")
    if found is None:
        missing = f"no chromium here: install it, or say where it is in {PROGRAM}"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    return found


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program(), args=list(FLAGS))
        try:
            yield browser
        finally:
            await browser.close()


@dataclass
class Visitor:
    """Somebody at a browser of their own, and all that went wrong before their eyes."""

    context: BrowserContext
    page: Page
    url: str
    scripts: bool = True
    troubles: list[str] = field(default_factory=list)

    async def open(self, path: str, status: int = 200) -> Page:
        answer = await self.page.goto(self.url + path)
        assert answer is not None
        assert answer.status == status, f"{path}: {answer.status}"
        return self.page

    async def sign_in(self, token: str) -> None:
        await self.open("/ui/login")
        await self.page.get_by_role("textbox", name="API token").fill(token)
        await self.page.get_by_role("button", name="Sign in with this token").click()
        await self.page.wait_for_url(re.compile(r"/ui$"))

    async def shift(self) -> list[Any]:
        """What moved on this page without anybody's doing: how far, and which elements."""
        return list(await self.page.evaluate("window.shifted"))

    async def faults(self, *rules: str) -> list[str]:
        """What axe finds wrong in this page by these rules, or by all, a line each."""
        if not await self.page.evaluate("typeof axe !== 'undefined'"):
            await self.page.evaluate(AXE)
        how = {"resultTypes": ["violations"]} | ({"runOnly": list(rules)} if rules else {})
        # What is right in a page is many times as much, and nobody reads it.
        found = await self.page.evaluate(
            "async how => (await axe.run(document, how)).violations", how
        )
        return [described(each) for each in found]

    async def bring_axe(self) -> None:
        """It is in each page from now on: sent once, and not with each."""
        await self.context.add_init_script(AXE)

    async def width_beyond(self) -> int:
        """Pixels by which the page is wider than its window."""
        root = "document.documentElement"
        return int(await self.page.evaluate(f"{root}.scrollWidth - {root}.clientWidth"))

    def _heard(self, message: ConsoleMessage) -> None:
        # An answer that says no is told by its status; what is missing beside a page, in _answered.
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            self.troubles.append(f"console at {self.page.url}: {message.text}")

    def _asked(self, request: Request) -> None:
        if urlsplit(request.url).scheme in ("http", "https", "ws", "wss") and not (
            request.url.startswith(self.url + "/")
        ):
            self.troubles.append(f"asked of somebody else: {request.url}")

    def _answered(self, answer: Response) -> None:
        beside = answer.request.resource_type not in ("document", "fetch", "eventsource")
        if answer.status >= 500 or (beside and answer.status >= 400):
            self.troubles.append(f"{answer.status} from {answer.url}")

    def watch(self, page: Page) -> None:
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.troubles.append(f"{page.url}: {error}"))
        page.on("request", self._asked)
        page.on("response", self._answered)


AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text()


def described(violation: Mapping[str, Any]) -> str:
    places = [json.dumps(node["target"]) + " " + node["html"][:160] for node in violation["nodes"]]
    said = violation["nodes"][0]["failureSummary"].replace("\n", " ")
    return f"{violation['id']}: {said} at {'; '.join(places[:5])}"


@asynccontextmanager
async def visitor(
    browser: Browser,
    url: str,
    *,
    scripts: bool = True,
    dark: bool = False,
    size: tuple[int, int] = WIDE,
    **more: Any,
) -> AsyncIterator[Visitor]:
    """A browser of their own: no cookie of anybody else. What went wrong fails at the end."""
    context = await browser.new_context(
        java_script_enabled=scripts,
        color_scheme="dark" if dark else "light",
        viewport={"width": size[0], "height": size[1]},
        is_mobile=size == PHONE,
        has_touch=size == PHONE,
        **more,
    )
    context.set_default_timeout(SOON)
    someone = Visitor(context, await context.new_page(), url, scripts)

    def told(kind: str, what: str) -> None:
        someone.troubles.append(f"{kind} at {someone.page.url}: {what}")

    await context.expose_function("told", told)
    await context.add_init_script(WATCH)
    someone.watch(someone.page)
    context.on("page", someone.watch)
    try:
        yield someone
    finally:
        await context.close()
    assert not someone.troubles, "\n".join(someone.troubles)
