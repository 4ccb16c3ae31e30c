"""Workers that poll: all that waits is said at once, and the answer is all that waits for them."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from edge.reading import LARGEST
from edge.remote import news, wire, words
from edge.remote.desk import Change, Desk, HandedBack
from edge.remote.dispatch import Claims, Offers, is_cut
from edge.remote.links import Link
from edge.remote.messages import Bye, FromServer, Hello
from edge.remote.office import Conn, Office, fencing, hands_of
from edge.remote.recording import Word
from scheduler.domain.errors import TooMany, Unavailable
from scheduler.store import remote

RECORDED_WITHIN = 20.0  # seconds until the commit of what was said
MARGIN = 8 << 10  # bytes of an answer around its messages


async def sync(office: Office, token: int, text: bytes, *, brings: bool = False) -> str:
    frame = wire.decode(text)
    if not office.rates.is_kept(frame.session, office.settings.frames_per_second):
        raise TooMany("this worker speaks too often", seconds=1)
    link = Link(token, office.beat, is_stream=False, brings=brings)
    link.session = frame.session
    messages = frame.messages
    if messages and isinstance(messages[0], Hello):
        messages = messages[1:]
        if not await office.greet(link, frame.session, frame.messages[0], "poll"):
            return answer(link)
        office.links.fence(link.holder)
    elif not await goes_on(office, link):
        return answer(link)
    heard = link.desk.hear(messages, time.monotonic())
    link.say(heard.answers)
    await write_now(office, link, heard.changes, len(text))
    if not link.why:
        await tell(office, link)
        await offer(office, link)
    return answer(link)


async def goes_on(office: Office, link: Link) -> bool:
    """A session by poll is known from the rows, whichever server it asks."""
    async with office.connection() as conn:
        row = await remote.find(conn, link.session)
        if row is None or row["token"] != link.token or row["carrier"] != "poll":
            link.say([Bye("say hello first", fenced=False)])
            return False
        heard = [(row["holder"], row["connection"], timedelta())]
        states = await remote.renew(conn, heard, office.settings.lease)
        if row["holder"] not in states:
            link.say([fencing(row)])
            return False
        hands = await hands_of(conn, row["holder"])
    link.holder, link.slots, link.queues = row["holder"], row["slots"], row["queues"]
    link.name = str(row["name"]).removeprefix(remote.NAME)
    link.draining = states[row["holder"]] != "ACTIVE"
    for hand in hands:
        # Who polls has heard all that it was offered before.
        hand.is_known, hand.missed_at = True, hand.since
    link.desk = Desk(office.beat, hands)
    return True


async def write_now(office: Office, link: Link, changes: Sequence[Change], size: int) -> None:
    """What is said by poll is acknowledged in its answer."""
    done = asyncio.get_running_loop().create_future()

    def written(word: Word) -> None:
        office.written(link, word)
        if not done.done():
            done.set_result(None)

    office.rest(link, changes)
    if word := words.word_of(link, changes, written):
        try:
            async with asyncio.timeout(RECORDED_WITHIN):
                await office.recorder.has_room()
                office.recorder.submit(replace(word, size=size))
                await asyncio.shield(done)
        except TimeoutError:
            raise Unavailable("the database does not answer in time") from None


async def tell(office: Office, link: Link) -> None:
    if news.serves(link):
        async with office.connection() as conn:
            await news.tell_some(conn, link)
            if link.size < news.LITTLE:
                room = LARGEST - MARGIN - link.size
                await office.workflows.go_on(conn, link, room)


async def offer(office: Office, link: Link) -> None:
    """As many as the answer has room for; the others go back."""
    claims = Claims(office.workflows.offered, office.workflows.cut)
    room = LARGEST - MARGIN - link.size
    async with office.connection() as conn:
        for queue in await remote.ready(conn, link.queues) if link.room else []:
            limit = min(link.room, 200)
            if limit <= 0 or room <= 0:
                break
            claimed = await claims.claim(conn, link, queue, limit)
            offers = await claims.offers(conn, link, claimed)
            room -= await say_within(office, conn, link, offers, room)


async def say_within(office: Office, conn: Conn, link: Link, offers: Offers, room: int) -> int:
    used, back = 0, list[HandedBack]()
    for hand, messages in offers.said:
        fitting, size = within(messages, room - used)
        if not fitting:
            back.append(link.desk.give_back(hand, "the answer had no room for it"))
            continue
        used += size
        link.say(fitting)
        if len(fitting) < len(messages) or is_cut(fitting):
            await office.workflows.cut(conn, fitting)
    for task, outcome in offers.refused:
        office.refuse(link, task, outcome)
    if back and (word := words.word_of(link, back, lambda word: None)):
        office.recorder.submit(word)
    return used


def answer(link: Link) -> str:
    """All that waits in the line, in one frame."""
    parts = [text[text.index("[") + 1 : -2] for text in link.waiting]
    return wire.framed(link.session, [each for each in parts if each])


def within(messages: Sequence[FromServer], room: int) -> tuple[Sequence[FromServer], int]:
    """As many of them as have room, and how much they take."""
    used = 0
    for number, each in enumerate(messages):
        size = len(wire.said(each).encode()) + 1
        if used + size > room:
            return messages[:number], used
        used += size
    return messages, used
