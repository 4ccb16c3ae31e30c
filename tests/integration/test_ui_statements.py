"""Each page of the dashboard sends as many statements over much as over little."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from psycopg import AsyncConnection

from tests.support import seeded_api
from tests.support.api import Api
from tests.support.browser import Browser, signed_in
from tests.support.screens import screens
from tests.support.seeded_runs import Size
from tests.support.statements import counted

pytestmark = pytest.mark.anyio

LITTLE = Size(runs=300, told=300, heard=300, records=24, events=60)
MUCH = Size(runs=1500, told=900, heard=600, records=120, events=300)
MOST = 40  # of any page


@asynccontextmanager
async def seeded(
    dsn: str, folder: Path, size: Size, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Api, Browser]]:
    monkeypatch.setattr(seeded_api, "TINY", size)
    async with seeded_api.a_seeded_api(dsn, folder) as api, signed_in(api) as browser:
        yield api, browser


@pytest.mark.timeout(600)  # two databases are filled, and every page is opened four times
async def test_no_page_asks_more_often_because_there_is_more(
    databases: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for name, size in (("little", LITTLE), ("much", MUCH)):
        (tmp_path / name).mkdir()
        with databases.cloned() as dsn:
            async with seeded(dsn, tmp_path / name, size, monkeypatch) as (api, browser):
                found.append(await statements(api, browser))
    little, much = found
    assert little.keys() == much.keys()
    assert {name: (little[name], much[name]) for name in much if much[name] > little[name]} == {}
    assert {name: count for name, count in much.items() if count > MOST} == {}


async def statements(api: Api, browser: Browser) -> Mapping[str, int]:
    """Of each page, when what servers keep in mind is known."""
    async with await AsyncConnection.connect(api.url, autocommit=True) as conn:
        pages = {each.name: each.path for each in await screens(conn) if each.is_page}
    counts = {}
    for name, path in pages.items():
        await browser.client.get(path)
        with counted() as sent:
            answer = await browser.client.get(path)
        if answer.status_code == 200:
            counts[name] = len(sent)
    return counts
