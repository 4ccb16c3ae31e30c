"""A workflow that starts others, several at a time, and goes on when all of them are over."""

import asyncio

from ledger import note

from procession.workflows import child, patch, progress, step, this_step, workflow, write


@step
def measure(site: str) -> int:
    note("measure", this_step().key)
    return len(site)


@workflow
async def survey(site: str) -> int:
    return await measure(site)


@workflow
async def campaign(sites: list[str]) -> dict[str, int]:
    """A child for each site: runs of their own, linked both ways."""
    found: dict[str, int] = {}

    async def one(site: str) -> None:
        found[site] = await child(survey, {"site": site})
        await write("found", {site: found[site]})
        progress(100 * len(found) / len(sites), f"{site} is done")

    async with asyncio.TaskGroup() as group:
        for site in sites:
            group.create_task(one(site))
    if patch("sorted"):  # runs that began before this line was written go on without it
        return dict(sorted(found.items()))
    return found
