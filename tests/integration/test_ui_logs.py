"""Logs on the dashboard: read by byte range, searched both ways, followed, taken away."""

import gzip
import json
import re
import zlib
from collections.abc import AsyncIterator

import pytest

from scheduler.services.access import Role
from tests.support.api import Api, serving
from tests.support.browser import Browser, Page, signed_in
from tests.support.printing import in_parts, printing
from tests.support.statements import counted

pytestmark = pytest.mark.anyio

LINES = b"".join(b"line %07d\n" % number for number in range(40_000))


@pytest.fixture
async def api(dsn: str) -> AsyncIterator[Api]:
    async with serving(dsn) as api:
        yield api


@pytest.fixture
async def someone(api: Api) -> AsyncIterator[Browser]:
    async with signed_in(api, Role.VIEWER) as browser:
        yield browser


def shown(page: Page) -> str:
    return page.answer.text.split('id="log"')[1].split("</pre>")[0]


def text_of(page: Page) -> str:
    """What was printed, without the addresses of lines."""
    return "".join(re.findall(r"<span[^>]*>([^<]*)</span>", shown(page)))


async def test_a_log_shows_colours_standard_error_and_gaps(
    api: Api, dsn: str, someone: Browser
) -> None:
    here, _ = await printing(
        api, dsn, (0, 1, b"\x1b[31mred\x1b[0m \xe2\x82"), (15, 1, b"\xac\n"),
        (17, 2, b"oh <b>no</b>\n"), (1000, 1, b"later\n"),
    )  # fmt: skip
    text = shown(await someone.open(here))
    assert '<span class="c1">red</span>' in text
    assert "€" in text
    assert '<span class="err">oh &lt;b&gt;no&lt;/b&gt;\n</span>' in text
    assert "bytes 30 to 999 (970 B) were not kept" in text.replace("\u2009", "")
    assert "later" in text


async def test_what_an_attempt_in_hand_has_not_sent_yet_is_said_so(
    api: Api, dsn: str, someone: Browser
) -> None:
    here, _ = await printing(api, dsn, (0, 1, b"a\n"), (100, 1, b"b\n"), over=False)
    assert "are not here yet" in shown(await someone.open(here))


async def test_what_is_missing_before_the_first_that_is_kept_is_on_its_page(
    api: Api, dsn: str, someone: Browser
) -> None:
    here, _ = await printing(api, dsn, (5000, 1, b"the end\n"))
    page = await someone.open(here)
    assert "bytes 0 to 4999" in shown(page).replace("\u2009", "")
    assert not [href for tag, href in hrefs(page) if tag == "prev"]
    assert "were not kept" in shown(await someone.open(f"{here}?to=5000"))


async def test_each_line_has_an_address_that_leads_to_it(
    api: Api, dsn: str, someone: Browser
) -> None:
    here, _ = await printing(api, dsn, (0, 1, b"one\ntwo"), (7, 2, b" and a half\nthree\n"))
    page = await someone.open(here)
    for start, text in ((0, "one"), (4, "two"), (19, "three")):
        address = f"{here}?from={start}#b{start}"
        assert address in page.links
        assert text_of(await someone.open(address)).startswith(text)
    assert [told["id"] for tag, told in page.tags if told.get("class") == "at"] == [
        "b0", "b4", "b19",
    ]  # fmt: skip


@pytest.mark.parametrize("data", [
    LINES, b"x" * 200_000, b"\n" * 3_000, b"".join(b"y" * n + b"\n" for n in range(700)), b"end",
], ids=["lines", "one long line", "nothing but newlines", "growing lines", "little"])  # fmt: skip
async def test_every_byte_is_on_some_page_whichever_way_somebody_reads(
    api: Api, dsn: str, someone: Browser, data: bytes
) -> None:
    here, _ = await printing(api, dsn, *in_parts(data, 50_001))
    onward, page = "", await someone.open(f"{here}?from=0")
    while True:
        onward += text_of(page)
        later = [href for tag, href in hrefs(page) if tag == "next"]
        if not later:
            break
        page = await someone.open(later[0])
    assert onward.encode() == data
    back, page = "", await someone.open(here)
    while True:
        back = text_of(page) + back
        earlier = [href for tag, href in hrefs(page) if tag == "prev"]
        if not earlier:
            break
        page = await someone.open(earlier[0])
    assert back.encode() == data


def hrefs(page: Page) -> list[tuple[str, str]]:
    return [(told.get("rel", ""), told["href"]) for tag, told in page.tags if tag == "a"]


async def test_a_page_of_a_log_is_small_whatever_its_size(
    api: Api, dsn: str, someone: Browser
) -> None:
    here, _ = await printing(api, dsn, *in_parts(LINES))
    page = await someone.open(here)
    assert "line 0039999" in shown(page)
    assert "line 0000000" not in shown(page)
    assert len(zlib.compress(page.answer.content)) < 60 << 10
    with counted() as sent:
        await someone.open(f"{here}?from=300000")
    few = len(sent)
    with counted() as sent:
        await someone.open(f"{here}?q=line 0000001&back=1")
    assert few <= 14
    assert len(sent) <= few + 12


async def test_a_search_goes_from_hit_to_hit_both_ways(
    api: Api, dsn: str, someone: Browser
) -> None:
    words = [b"needle %d\n" % n if n in (100, 9_000, 39_000) else b"straw\n" for n in range(40_000)]
    here, _ = await printing(api, dsn, *in_parts(b"".join(words)))
    page = await someone.open(f"{here}?q=NEEDLE")
    for number in (100, 9_000, 39_000):
        assert text_of(page).startswith(f"needle {number}")
        assert '<span class="hit">needle</span>' in shown(page)
        last, page = page, await someone.open(way(page, "from"))
    assert "Nothing was found up to" in page.text
    page = last
    for number in (9_000, 100):
        page = await someone.open(way(page, "to"))
        assert text_of(page).startswith(f"needle {number}")
    assert "Nothing was found" in (await someone.open(way(page, "to"))).text
    assert "Nothing was found" in (await someone.open(f"{here}?q=absent&back=1")).text


def way(page: Page, name: str) -> str:
    """On from a hit, or back from it."""
    return next(each for each in page.links if "q=NEEDLE" in each and f"&{name}=" in each)


async def test_a_hit_may_lie_on_the_edge_of_two_parts(api: Api, dsn: str, someone: Browser) -> None:
    here, _ = await printing(api, dsn, (0, 1, b"a\nhay nee"), (9, 1, b"dle hay\nz\n"))
    for address in (f"{here}?q=needle", f"{here}?q=needle&back=1"):
        assert text_of(await someone.open(address)).startswith("hay needle hay")


async def test_the_first_and_the_last_trouble_are_a_step_away(
    api: Api, dsn: str, someone: Browser
) -> None:
    said = b"fine\nERROR: first\n" + b"fine\n" * 30_000 + b"Traceback (most recent)\nfine\n"
    here, _ = await printing(api, dsn, *in_parts(said))
    assert text_of(await someone.open(f"{here}?trouble=1")).startswith("ERROR: first")
    last = await someone.open(f"{here}?trouble=1&back=1")
    assert text_of(last).startswith("Traceback")


async def test_all_of_it_can_be_taken_away_as_it_is_and_as_gz(
    api: Api, dsn: str, someone: Browser
) -> None:
    here, _ = await printing(api, dsn, *in_parts(LINES))
    raw = here.replace("/log", "/raw")
    assert (await someone.client.get(raw)).content == LINES
    packed = await someone.client.get(f"{raw}?gz=1")
    assert gzip.decompress(packed.content) == LINES
    assert packed.headers["content-type"] == "application/gzip"
    assert packed.headers["content-disposition"].endswith('says-1.log.gz"')


async def test_a_log_is_followed_to_its_end_without_loss(
    api: Api, dsn: str, someone: Browser
) -> None:
    here, _ = await printing(api, dsn, (0, 1, b"one\n"), (4, 2, b"two\n"), (8, 1, b"three\n"))
    for begin, last, expected, lines in (
        (0, None, "one\ntwo\nthree\n", ["0", "4", "8"]),
        (0, "4", "two\nthree\n", ["4", "8"]),
        (0, "6", "o\nthree\n", ["8"]),  # within a line nothing new begins
    ):
        headers = {} if last is None else {"Last-Event-ID": last}
        told = await someone.client.get(f"{here}/stream?from={begin}", headers=headers)
        pieces = [
            piece
            for line in told.text.splitlines()
            if line.startswith("data: [")
            for piece in json.loads(line[6:])
        ]
        assert "".join(text for style, text in pieces if style != "at") == expected
        assert [text for style, text in pieces if style == "at"] == lines
        assert told.text.endswith("event: end\ndata: end\n\n")
    over = await someone.client.get(f"{here}/stream", headers={"Last-Event-ID": "end"})
    assert over.status_code == 204


async def test_a_log_that_goes_on_says_from_where_to_follow(
    api: Api, dsn: str, someone: Browser
) -> None:
    here, _ = await printing(api, dsn, (0, 1, b"so far\n"), over=False)
    page = await someone.open(here)
    [told] = [told for tag, told in page.tags if told.get("id") == "log"]
    assert told["data-stream"] == f"{here}/stream?from=7"
