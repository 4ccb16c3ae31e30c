"""A program that carries out actions, for whoever writes one."""

import asyncio
import contextlib
import logging
import os
import platform
import signal
import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar, get_args

from procession import connecting
from procession.carriers import Mode
from procession.connecting import Misconfigured
from procession.core import Serving
from procession.engine import Engine, Plan
from procession.handling import Handler, served
from procession.handling import Served as Handled
from procession.hosting import Host
from procession.values import Name, Served, Unfit
from procession.version import VERSION
from procession.workflows.defining import Workflow
from procession.workflows.host import FlowHost

log = logging.getLogger(__name__)

SDK = f"python/{VERSION} ({platform.python_implementation()} {platform.python_version()})"
MOST_SLOTS = 1_000
H = TypeVar("H", bound=Callable[..., object])


class Worker:
    """Takes tasks of the actions it serves, so many at a time as it has `slots`.

    `url` and `token` come from PROCESSION_URL and PROCESSION_TOKEN (or PROCESSION_TOKEN_FILE) where
    they are not given. After SIGTERM or SIGINT what is in hand has `grace` seconds to end.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | Path | None = None,
        name: str | None = None,
        *,
        slots: int = 16,
        grace: float = 30.0,
        carrier: Mode = "auto",
    ) -> None:
        if not 1 <= slots <= MOST_SLOTS:
            raise Misconfigured(f"slots: a number from 1 to {MOST_SLOTS} is due, not {slots}")
        self.url, self.token = url, token
        self.name = checked(Name, name or f"python-worker-{uuid.uuid4().hex[:8]}", "a worker")
        self.slots, self.grace, self.carrier = slots, grace, carrier
        self._handlers: dict[str, Handled] = {}
        self._host: Host | None = None
        self._engine: Engine | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def register(self, action: str, handler: Handler) -> "Worker":
        """`handler(payload)` or `handler(payload, context)`, `async` or not; its result is the
        task's output. An exception is a failure."""
        checked(Served, action, "an action")
        if self._engine is not None:
            raise Misconfigured(f"the worker runs already: register {action!r} before")
        if action in self._handlers:
            raise Misconfigured(f"the action {action!r} has a handler already")
        self._handlers[action] = served(handler)
        return self

    def action(self, name: str) -> Callable[[H], H]:
        """As a decorator: `@worker.action("step1")`."""

        def registered(handler: H) -> H:
            self.register(name, handler)
            return handler

        return registered

    def serve(self, *workflows: Workflow[Any, Any]) -> "Worker":
        """Carries these workflows out as well, and publishes them."""
        if not isinstance(self._host, FlowHost):
            self._host = FlowHost()
        self._host.add(*workflows)
        return self

    def host(self, host: Host) -> "Worker":
        """What carries out workflows in this worker."""
        self._host = host
        return self

    def start(self, url: str | None = None, token: str | Path | None = None) -> None:
        """Blocks until the first SIGTERM or SIGINT, and until what was in hand has ended."""
        self.url, self.token = url or self.url, token or self.token
        tell_on_standard_error()
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(self._with_signals())

    async def run(self) -> None:
        """The same in an event loop that runs already, until `stop`. Leaves signals alone."""
        if self._engine is not None:
            raise RuntimeError("this worker runs already")
        self._loop, self._engine = asyncio.get_running_loop(), Engine(self._plan())
        try:
            await self._engine.run()
        finally:
            self._loop = self._engine = None

    def stop(self) -> None:
        """From any thread: once in good order, twice at once."""
        loop, engine = self._loop, self._engine
        if loop is not None and engine is not None:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(engine.stop)

    async def _with_signals(self) -> None:
        with self._signals():
            await self.run()

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """Only the main thread may have them."""
        is_main = threading.current_thread() is threading.main_thread()
        chosen = (signal.SIGTERM, signal.SIGINT) if is_main else ()
        before = [signal.signal(each, lambda *_: self.stop()) for each in chosen]
        try:
            yield
        finally:
            for each, handler in zip(chosen, before, strict=True):
                signal.signal(each, handler)

    def _plan(self) -> Plan:
        server = connecting.find(self.url, self.token)
        server.token()  # what is missing is said before anything begins
        if not server.is_secure and not server.is_here:
            log.warning("the token is sent to %s without TLS", server.url)
        return Plan(
            server, self._serving(), dict(self._handlers), self._host, self.carrier, self.grace
        )

    def _serving(self) -> Serving:
        workflows = tuple(self._host.published()) if self._host else ()
        if not self._handlers and not workflows:
            raise Misconfigured("nothing is served: register an action before the start")
        return Serving(
            name=self.name,
            slots=self.slots,
            actions=tuple(self._handlers),
            workflows=workflows,
            sdk=SDK,
            host=socket.gethostname(),
            pid=os.getpid(),
        )


def tell_on_standard_error() -> None:
    """What becomes of the worker, where nobody has said how programs log."""
    ours = logging.getLogger("procession")
    if not ours.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        ours.addHandler(handler)
        ours.setLevel(logging.INFO)


def checked(kind: Any, value: str, what: str) -> str:
    """By the rule that the server reads it by."""
    try:
        get_args(kind)[1](value, what)
    except Unfit as error:
        raise Misconfigured(f"{error}, not {value[:120]!r}") from None
    return value
