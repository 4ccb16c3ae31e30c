"""Pictures of every screen, in light, dark and on a phone, of a database as a firm has it.

python -m tests.support.screenshots FOLDER [--runs N] [--only NAME …]
"""

import argparse
import asyncio
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from psycopg import AsyncConnection

from tests.support import pages
from tests.support.pages import PHONE, WIDE, Visitor
from tests.support.postgres import session_databases
from tests.support.screens import Screen, screens
from tests.support.seeded import seed
from tests.support.seeded_runs import Size
from tests.support.system import System, a_system

LOOKS = {"light": (False, WIDE), "dark": (True, WIDE), "phone": (False, PHONE)}


@asynccontextmanager
async def a_seeded_system(system: System, size: Size) -> AsyncIterator[list[Screen]]:
    """With a worker, so that something goes on; the screens at addresses that exist."""
    async with system.worker("default"), system.asking() as api:
        dsn = system.environment["PROCESSION_DATABASE_URL"]
        await seed(api.http, dsn, size)
        async with await AsyncConnection.connect(dsn) as conn:
            yield await screens(conn)


@dataclass(frozen=True, slots=True)
class Wish:
    folder: Path
    size: Size
    only: Sequence[str]
    fold: bool  # what a window shows before anybody scrolls

    def wants(self, screen: Screen) -> bool:
        return screen.is_page and (not self.only or screen.name in self.only)


async def take(someone: Visitor, path: str, file: Path, shape: tuple[int, int], fold: bool) -> None:
    """The whole page in a window as high as the page, so that nothing sticks to an edge midway."""
    page, (width, height) = someone.page, shape
    await page.set_viewport_size({"width": width, "height": height})
    await page.goto(someone.url + path)
    whole = await page.evaluate("document.documentElement.scrollHeight")
    high = height if fold else max(height, min(whole, 6_000))
    await page.set_viewport_size({"width": width, "height": high})
    await page.screenshot(path=file, animations="disabled")


async def take_all(system: System, wish: Wish) -> None:
    async with a_seeded_system(system, wish.size) as found, pages.chromium() as browser:
        for look, (dark, shape) in LOOKS.items():
            folder = wish.folder / look
            folder.mkdir(parents=True, exist_ok=True)
            async with pages.visitor(browser, system.url, dark=dark, size=shape) as someone:
                await someone.sign_in(system.token)
                for screen in found:
                    if wish.wants(screen):
                        file = folder / f"{screen.name}.png"
                        await take(someone, screen.path, file, shape, wish.fold)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=Size().runs)
    parser.add_argument("--only", nargs="*", default=(), help="names of routes")
    parser.add_argument("--fold", action="store_true", help="what is seen without scrolling")
    given = parser.parse_args()
    wish = Wish(given.folder, Size.of(given.runs), given.only, given.fold)
    with (
        session_databases() as databases,
        tempfile.TemporaryDirectory() as data,
    ):
        databases.make_template()
        with a_system(databases, Path(data)) as system:
            asyncio.run(take_all(system, wish))
    print(f"pictures are in {given.folder}")


if __name__ == "__main__":
    main()
