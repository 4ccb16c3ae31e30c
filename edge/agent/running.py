"""`procession edge run`: the agent of one folder, from its start until it is asked to end.

An agent runs for months, so the process begins anew without what the command line has loaded: where
memory is counted in mebibytes, each of them counts.
"""

import asyncio
import json
import logging
import os
import signal
import sqlite3
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from edge.agent.home import Config, Home, Unusable
from edge.identity import BadProof

# What is large is given back to the system, and threads have no heaps of their own: glibc's words.
TIGHT = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "65536"}
TOLD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class Lines(logging.Formatter):
    """One line for each fact. Under a service manager, which knows the time, without it."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {name: each for name, each in vars(record).items() if name not in TOLD}
        told = [record.getMessage(), *(f"{name}={each!r}" for name, each in fields.items())]
        said = f"{record.levelname.lower()}: {' '.join(told)}"
        if record.exc_info:
            said += "\n" + self.formatException(record.exc_info)
        return said if "JOURNAL_STREAM" in os.environ else f"{self.formatTime(record)} {said}"


def log_to_stderr() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Lines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("websockets").setLevel(logging.WARNING)


def become(home: Home, *, attach: bool, given: Mapping[str, Any]) -> NoReturn:
    """Nothing of the folder we are in is imported (-P)."""
    borrowed = sorted(TIGHT.keys() - os.environ.keys())
    from importlib.metadata import version

    wish = {"home": str(home.path), "attach": attach, "given": dict(given), "borrowed": borrowed}
    told = json.dumps({**wish, "version": version("procession")})
    sys.stdout.flush()
    argv = [sys.executable, "-X", "no_debug_ranges", "-P", "-m", "edge.agent.running", told]
    os.execve(sys.executable, argv, {**TIGHT, **os.environ})


def main(told: str) -> None:
    wish = json.loads(told)
    for name in wish["borrowed"]:  # read when the process began, and not for commands
        del os.environ[name]
    try:
        home = Home(Path(wish["home"]))
        run(home, attach=wish["attach"], given=wish["given"], version=wish["version"])
    except Unusable as error:
        remedy = f": {error.remedy}" if error.remedy else ""
        print(f"procession: {error.why}{remedy}", file=sys.stderr)
        sys.exit(2)


def run(home: Home, *, attach: bool, given: Mapping[str, Any], version: str) -> None:
    """`given` counts before what its file says."""
    home.prepare()
    config = replace(home.load(), **given)
    log_to_stderr()
    with home.held():
        try:
            asyncio.run(live(home, config, attach=attach, version=version))
        except BadProof as error:
            raise Unusable(str(error), "join again, with an invitation that replaces it") from None
        except FileNotFoundError as error:
            remedy = "leave, and join again with an invitation that replaces it"
            raise Unusable(f"{error.filename} is missing", remedy) from None
        except (OSError, sqlite3.Error) as error:
            remedy = "`procession edge doctor` looks at its disk and its book"
            raise Unusable(f"{home.path} cannot be used: {error}", remedy) from None


async def live(home: Home, config: Config, *, attach: bool, version: str) -> None:
    from edge.agent.program import Program

    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await Program(home, config, starts_runner=not attach, version=version).run(stop)


if __name__ == "__main__":
    main(sys.argv[1])
