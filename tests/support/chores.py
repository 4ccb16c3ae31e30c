"""A queue of chores with kinds of a test's own, and servers that take part in it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from executor.http import Policy
from scheduler.chores.kinds import Kind, Kinds, Pool, Tools, named
from scheduler.chores.plane import Plane
from scheduler.loops.keeper import Keeper
from scheduler.services.catalog import Catalog
from scheduler.services.keyring import Keys
from scheduler.settings import ChoreSettings, MailSettings
from scheduler.store import connections

SHORT = timedelta(seconds=2)


def tools_with(
    mail: MailSettings | None = None, policy: Policy | None = None, keys: Keys | None = None
) -> Callable[[Pool, int], Tools]:
    catalog = Catalog()

    def make(pool: Pool, job: int) -> Tools:
        return Tools(
            pool,
            catalog,
            keys or Keys(text=None, file=None, data_dir=Path("nowhere")),
            policy or Policy(),
            mail or MailSettings(),
            job,
        )

    return make


def a_plane(
    url: str,
    kinds: Kinds,
    *,
    make: Callable[[Pool, int], Tools] | None = None,
    silent_after: timedelta = SHORT,
    poll: float = 0.2,
) -> Plane:
    settings = ChoreSettings(poll=timedelta(seconds=poll), silent_after=silent_after)
    return Plane(url, settings, kinds, make or tools_with())


@asynccontextmanager
async def carrying(plane: Plane) -> AsyncIterator[None]:
    """A server that carries chores out and keeps their queue, for as long as the test needs it."""
    async with asyncio.TaskGroup() as group:
        working = group.create_task(plane.work())
        keeping = group.create_task(keep(plane))
        try:
            yield
        finally:
            working.cancel()
            keeping.cancel()


async def keep(plane: Plane) -> None:
    from scheduler.steady import keep_going

    await keep_going(
        lambda: connections.connect(plane.url, name="test keeper"),
        Keeper(list(plane.kinds), plane.settings.silent_after, "test").work,
        name="keeper",
    )


__all__ = ["Kind", "a_plane", "carrying", "named", "tools_with"]
