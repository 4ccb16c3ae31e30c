"""The whole life of a worker: what is started, and how it ends. It knows nothing of the web."""

import logging
import os
import signal
import socket
from importlib.metadata import version
from pathlib import Path

from executor import link as runner
from executor.http import Policy
from scheduler.calls import Calls
from scheduler.domain.errors import Invalid
from scheduler.hands import BothHands, RunnerHands
from scheduler.ready import keys_of, require_ready
from scheduler.services.keyring import Keys
from scheduler.settings import HttpSettings, Settings, WorkerSettings
from scheduler.signals import stop_on_signals
from scheduler.worker import Fenced, RunnerGone, Worker, identity_of

log = logging.getLogger(__name__)


async def worker_main(url: str, settings: Settings) -> None:
    """SIGTERM leaves commands to the runner, for the worker's next life; SIGINT stops them."""
    await require_ready(url)
    worker = settings.worker.model_copy(update={"lease": settings.lease, "http": settings.http})
    name = worker.name or f"{socket.gethostname()}-0"
    spool = settings.data_dir / "runners" / safe(name)
    signals: list[int] = []
    with stop_on_signals(signals.append) as stop:
        async with runner.hold_spool(spool):
            life = make_worker(url, name, spool, worker, keys_of(settings))
            try:
                await life.run(stop, down=lambda: signal.SIGINT in signals)
            except* (Fenced, RunnerGone) as group:
                for error in group.exceptions:
                    log.error(str(error))
                raise SystemExit(1) from None


def make_worker(url: str, name: str, spool: Path, settings: WorkerSettings, keys: Keys) -> Worker:
    identity = identity_of(
        name, host=socket.gethostname(), version=version("procession"), settings=settings
    )
    calls = Calls(policy_of(settings.http), slots=settings.slots)
    hands = BothHands(RunnerHands(spool, slots=settings.slots), calls)
    return Worker(url, settings, identity, hands, keys)


def policy_of(settings: HttpSettings) -> Policy:
    ca_file = str(settings.ca_file) if settings.ca_file else None
    return Policy(settings.allow_private, ca_file)


def safe(name: str) -> str:
    if not name or name.startswith(".") or os.sep in name or not name.isprintable():
        raise Invalid(
            f"{name!r} cannot be a worker's name: it must be good for a file", field="name"
        )
    return name
