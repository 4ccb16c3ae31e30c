"""Every screen for everybody: axe finds nothing, nothing moves by itself, nobody else is asked."""

import os
from collections.abc import AsyncIterator
from statistics import median

import pytest
from playwright.async_api import Browser

from tests.support import pages
from tests.support.pages import PHONE, WIDE, Visitor
from tests.support.screens import Screen
from tests.support.screenshots import a_seeded_system
from tests.support.seeded_runs import SMALL
from tests.support.system import System

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]

LONG = bool(os.environ.get("PROCESSION_LONG"))
# In the short form the other two are looked at where the first is, without another visit.
LOOKS = {"light": (False, WIDE), "dark": (True, WIDE), "phone": (False, PHONE)}
# Told, and never decides: what else the machine does is not known.
READY = "performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd"
STILL = 0.01  # of the view times of the way; below it nobody sees anything move


@pytest.fixture(scope="module")
async def found(system: System) -> AsyncIterator[list[Screen]]:
    async with a_seeded_system(system, SMALL) as found:
        yield found


@pytest.mark.parametrize("look", LOOKS if LONG else ["light"])
async def test_no_screen_keeps_anybody_out_or_moves(
    system: System, chromium: Browser, found: list[Screen], look: str
) -> None:
    dark, size = LOOKS[look]
    faults: list[str] = []
    ready: dict[str, float] = {}
    async with pages.visitor(chromium, system.url, dark=dark, size=size) as someone:
        await someone.sign_in(system.token)
        await someone.bring_axe()
        for screen in found:
            if screen.is_page:
                faults += [f"{screen.name}: {each}" for each in await looked(someone, screen)]
                ready[screen.name] = await someone.page.evaluate(READY)
    slowest = sorted(ready, key=ready.__getitem__)[-3:]
    print(f"{look}: {len(ready)} screens, ready after {median(ready.values()):.0f} ms (median);")
    print("slowest:", ", ".join(f"{name} {ready[name]:.0f} ms" for name in slowest))
    assert not faults, "\n".join(faults)


async def looked(someone: Visitor, screen: Screen) -> list[str]:
    answer = await someone.page.goto(someone.url + screen.path)
    assert answer is not None
    if answer.status != (404 if screen.name == "ui_nowhere" else 200):
        return [f"the answer is {answer.status}"]
    faults = await someone.faults()
    if (wide := await someone.width_beyond()) > 0:
        faults.append(f"it is {wide} px wider than the screen")
    moved = await someone.shift()
    if sum(far for far, _ in moved) >= STILL:
        faults.append(f"it moves: {moved}")
    return faults if LONG else [*faults, *await other_looks(someone)]


async def other_looks(someone: Visitor) -> list[str]:
    page = someone.page
    await page.emulate_media(color_scheme="dark")
    faults = [f"in the dark: {each}" for each in await someone.faults("color-contrast")]
    await page.emulate_media(color_scheme="light")
    await page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
    faults += [f"on a phone: {each}" for each in await someone.faults()]
    if (wide := await someone.width_beyond()) > 0:
        faults.append(f"on a phone: it is {wide} px wider than the screen")
    await page.set_viewport_size({"width": WIDE[0], "height": WIDE[1]})
    return faults
