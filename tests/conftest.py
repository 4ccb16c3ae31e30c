import gc
import os
import shutil
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from psycopg import AsyncConnection

from scheduler.store.migrations import migrate
from tests.support import memory
from tests.support.postgres import (
    Cluster,
    Databases,
    binaries_of,
    chosen_version,
    folder_of_server,
    session_databases,
)

KEPT = pytest.StashKey[bool]()
FILES = pytest.StashKey[Path | None]()
LONG = os.environ.get("PROCESSION_LONG") == "1"

# The files that take longest, longest first; then those of these folders.
LONGEST = (
    "ui_axe",
    "api_fuzzed",
    "cli_commands",
    "edge_agent",
    "chores",
    "ui_hostile",
    "commands_kills",
    "edge_simulated",
    "workflow_stories",
    "ui_stories",
    "benchmarks",
    "up",
    "ui_stations",
    "edge_cuts",
    "edge_kills",
    "edge_production",
    "examples",
)
FOLDERS = ("chaos", "acceptance", "integration", "unit")


def pytest_configure(config: pytest.Config) -> None:
    # In the background of a script interrupts are ignored, also by all that tests would start.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # Tests start our programs hundreds of times, which would be compiled anew each time.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    config.stash[FILES] = None if hasattr(config, "workerinput") else memory.move_in()


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config
) -> None:
    if (files := config.stash[FILES]) and exitstatus:
        terminalreporter.write_line(f"the files of these tests stay in {files} until the next ones")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """What failed may be looked at until the next run begins."""
    if exitstatus:
        session.config.stash[KEPT] = True


def pytest_unconfigure(config: pytest.Config) -> None:
    files = config.stash.get(FILES, None)
    if files and not config.stash.get(KEPT, False):
        shutil.rmtree(files, ignore_errors=True)


def pytest_collection(session: pytest.Session) -> None:
    """Whatever is loaded from here on stays to the end: to look time and again for what of it may
    go takes half as long as loading it, and then a part of every test."""
    gc.disable()


def pytest_collection_finish(session: pytest.Session) -> None:
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What is long begins early, so that no process is busy alone at the end. What others stand for
    when a change is tried is left to `make nightly`."""
    if not LONG:
        put_off = [item for item in items if item.get_closest_marker("nightly")]
        config.hook.pytest_deselected(items=put_off)
        items[:] = [item for item in items if item not in put_off]
    items.sort(key=lambda item: turn(item.path))


def turn(file: Path) -> tuple[int, int]:
    name, folder = file.stem.removeprefix("test_"), file.parent.name
    place = LONGEST.index(name) if name in LONGEST else len(LONGEST)
    return place, FOLDERS.index(folder) if folder in FOLDERS else 0


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def databases() -> Iterator[Databases]:
    """A server for the whole session, with a migrated template in it."""
    with session_databases() as databases:
        databases.make_template()
        yield databases


@pytest.fixture
def dsn(databases: Databases) -> Iterator[str]:
    """The owner's conninfo of a fresh, migrated database."""
    with databases.cloned() as dsn:
        yield dsn


@pytest.fixture
async def db(dsn: str) -> AsyncIterator[AsyncConnection]:
    async with await AsyncConnection.connect(dsn) as conn:
        yield conn


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    """A server of this test's own, with a migrated database: `cluster.dsn`."""
    with folder_of_server() as folder:
        cluster = Cluster(folder, binaries_of(chosen_version()))
        await cluster.start()
        await migrate(cluster.dsn)
        yield cluster
        await cluster.stop()
