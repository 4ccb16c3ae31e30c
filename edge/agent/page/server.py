"""The page's server: at the address that the owner's policy names, for few at a time."""

import asyncio
import hashlib
import ipaddress
import logging
import secrets
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from edge.agent.local import Refused, Verbs
from edge.agent.page import http
from edge.agent.page.guard import TOKEN, Address, Guard, read_address
from edge.agent.page.http import Answer, Bad, Request
from scheduler.domain.errors import Refusal

log = logging.getLogger(__name__)

MOST, STREAMS = 32, 8  # connections, and those of them that listen
LOOK = 1.0  # seconds between two looks at what has changed
ALIVE = 15.0  # proxies and sleepy screens close what is silent longer
RETRY = 10.0
PATIENCE = 30.0  # until templates are understood
SAFE = frozenset({"GET", "HEAD"})
STATIC = "/ui/static/"
STREAM = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class Page:
    """`wanted` answers where the owner allows it; None: nowhere. It may change."""

    def __init__(
        self,
        verbs: Verbs,
        wanted: Callable[[], tuple[str, Sequence[str]] | None],
        templates: Path | None = None,
    ) -> None:
        self.verbs, self.wanted = verbs, wanted
        self.templates = templates  # where they are kept, understood
        self.turn = asyncio.Lock()
        self.poked = asyncio.Event()
        self.clients: set[asyncio.Task[None]] = set()
        self.streams = 0
        self.at: Address | None = None
        self.guard: Guard | None = None

    def look_again(self) -> None:
        """The owner may have changed their mind."""
        self.poked.set()

    async def work(self) -> None:
        while True:
            wanted = self.wanted()
            if wanted is None:
                await self.poked.wait()
            else:
                await self.serve(*wanted)
            self.poked.clear()

    async def serve(self, text: str, names: Sequence[str]) -> None:
        """Until the owner wants something else."""
        try:
            address = read_address(text)
            server = await asyncio.start_server(
                self.meet, address.host, address.port, limit=http.HEAD
            )
        except (OSError, ValueError) as error:
            log.warning("the page cannot be shown", extra={"address": text, "reason": str(error)})
            with suppress(TimeoutError):
                async with asyncio.timeout(RETRY):
                    await self.poked.wait()
            return
        self.at = Address(address.host, server.sockets[0].getsockname()[1])
        self.guard = Guard(self.at, names)
        log.info("the page is there", extra={"address": str(self.at)})
        try:
            while self.wanted() == (text, names):
                self.poked.clear()
                await self.poked.wait()
        finally:
            self.at = None
            server.close()
            for client in list(self.clients):
                client.cancel()

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self.clients) >= MOST:
            writer.close()
            return
        self.clients.add(task)
        try:
            await self.converse(reader, writer)
        except (OSError, TimeoutError, asyncio.CancelledError):
            pass  # gone, or asked to go
        finally:
            self.clients.discard(task)
            writer.close()

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        own = str(ipaddress.ip_address(writer.get_extra_info("sockname")[0]))
        request = None
        try:
            request = await http.read(reader)
            if request is None:
                return
            assert self.guard is not None
            self.guard.require_host(request, own)
            if request.path == "/stream" and request.method == "GET":
                await self.stream(request, writer)
                return
            answer = await self.answer(request)
        except Bad as bad:
            answer = refusal(bad.status, bad.why)
        except (OSError, TimeoutError):
            raise  # whoever asked has gone
        except Exception:  # the rim: whoever looks must not end the agent
            log.exception("the page cannot be shown")
            answer = refusal(500, "the workstation made a mistake; its log says which")
        body = b"" if request is not None and request.method == "HEAD" else answer.body
        await http.write(writer, http.head_of(answer) + body)

    async def answer(self, request: Request) -> Answer:
        if request.method in SAFE:
            return await self.shown(request)
        if request.method == "POST" and request.path.startswith("/do/"):
            return await self.done(request, request.path.removeprefix("/do/"))
        raise Bad(405, "this is neither looked at nor done")

    async def shown(self, request: Request) -> Answer:
        from edge.agent.page import drawing

        if request.path == "/":
            return await self.page(
                said=request.query.get("said", ""),
                begin=request.query.get("begin", ""),
                is_live="x-live" in request.headers,
            )
        found = drawing.asset(request.path.removeprefix(STATIC))
        if not request.path.startswith(STATIC) or found is None:
            raise Bad(404, "there is nothing at this address")
        return Answer(200, found[0], found[1], {"Cache-Control": "no-cache"})

    async def page(
        self,
        status: int = 200,
        *,
        said: str = "",
        is_live: bool = False,
        form: object = None,
        fault: str = "",
        begin: str = "",
    ) -> Answer:
        from edge.agent.page import drawing, state
        from ui.sent import Form

        await self.understand()
        written = form if isinstance(form, Form) else None
        refused = written.get("id") if written else ""
        drawn = await state.station(
            self.verbs, form=written, refused=refused, fault=fault, key=secrets.token_hex(16)
        )
        is_beside = any(each.fault for each in drawn.questions) or any(
            each.fault for each in drawn.begins
        )
        assert self.guard is not None
        body = drawing.page(
            drawn,
            token=self.guard.token,
            heard=word_of(drawn),
            said=said,
            is_live=is_live,
            fault="" if is_beside else fault,
            begin=refused or begin,
        )
        return Answer(status, body, headers=drawing.HEADERS)

    async def understand(self) -> None:
        """Once, in a process of its own: what understanding templates takes is gone with it."""
        async with self.turn:
            folder, self.templates = self.templates, None
            if folder is None:
                return
            from edge.agent.page import drawing

            try:
                await understood(folder)
                drawing.keep(folder)
            except OSError as error:  # then they are understood here, which takes more memory
                log.warning("templates cannot be kept", extra={"reason": str(error)})

    async def done(self, request: Request, verb: str) -> Answer:
        from edge.agent.page import state
        from ui import sent

        try:
            form = sent.read(request.headers.get("content-type", ""), request.body)
        except Refusal as error:
            raise Bad(422, str(error)) from None
        assert self.guard is not None
        self.guard.require_own(request, form.get(TOKEN))
        if form.get("more"):
            return await self.page(form=form)
        try:
            said = await state.press(self.verbs, verb, form)
        except (Refused, Refusal) as error:
            remedy = getattr(error, "remedy", None)
            fault = f"{error}. {remedy}" if remedy else str(error)
            return await self.page(422, form=form, fault=fault)
        return Answer(303, headers={"Location": f"/?said={said}"})

    async def stream(self, request: Request, writer: asyncio.StreamWriter) -> None:
        """A word whenever something on the page is not as it was."""
        if self.streams >= STREAMS:
            raise Bad(503, "enough of them listen already")
        heard = request.headers.get("last-event-id", request.query.get("since"))
        answer = Answer(200, kind="text/event-stream", headers=STREAM)
        self.streams += 1
        try:
            await http.write(writer, http.head_of(answer, is_stream=True) + b"retry: 2000\n\n")
            await self.tell(writer, heard)
        finally:
            self.streams -= 1

    async def tell(self, writer: asyncio.StreamWriter, heard: str | None) -> None:
        from edge.agent.page import state

        silent = 0.0
        while True:
            word = word_of(await state.station(self.verbs))
            if word != heard:
                heard, silent = word, 0.0
                await http.write(
                    writer, f"id: {word}\nevent: changed\ndata: {word}\n\n".encode("ascii")
                )
            elif silent >= ALIVE:
                silent = 0.0
                await http.write(writer, b": alive\n\n")
            await asyncio.sleep(LOOK)  # between two looks, while somebody listens
            silent += LOOK


async def understood(folder: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "edge.agent.page.drawing", str(folder))
    )
    try:
        async with asyncio.timeout(PATIENCE):
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise OSError(f"it ended with {process.returncode}")


def word_of(station: object) -> str:
    """Another one for all that is shown otherwise. A key for a form is nothing that is shown."""
    from dataclasses import replace

    from ui.kiosk import Station

    assert isinstance(station, Station)
    begins = [replace(each, key="") for each in station.begins]
    return hashlib.sha256(repr(replace(station, begins=begins)).encode()).hexdigest()[:16]


def refusal(status: int, why: str) -> Answer:
    from edge.agent.page import drawing

    return Answer(status, drawing.sorry(status, why), headers=drawing.HEADERS)
