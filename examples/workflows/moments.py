"""Runs that nobody starts by hand: at their time, or when it has been quiet for a while."""

from typing import Any

from ledger import note

from procession.workflows import now, sleep, step, this_step, workflow


@step
def write_report(day: str) -> str:
    note("write_report", this_step().key)
    return f"report of {day}"


@workflow(
    schedules=[
        {"cron": "30 2 * * mon-fri", "zone": "Europe/Rome", "input": {"day": "${{ tick.date }}"}}
    ]
)
async def nightly(day: str) -> str:
    """Each tick starts one run, however many servers there are."""
    return await write_report(day)


@step
def write_index(document: str, changes: int) -> int:
    note("write_index", this_step().key)
    return changes


@workflow(
    triggers=[
        {
            "event": "document.changed",
            "input": {"document": "${{ event.key }}", "changes": "${{ events }}"},
            "debounce": {
                "key": "${{ event.key }}",
                "quiet": "2s",
                "max_wait": "1m",
                "input": "gathered",
            },
        }
    ]
)
async def index(document: str, changes: list[Any]) -> int:
    """Once for all changes that come within two seconds of each other."""
    return await write_index(document, len(changes))


@workflow
async def reminder(text: str, after: float) -> str:
    """A year is no longer than a second: nothing is in memory while it sleeps."""
    due = now()
    await sleep(after)
    await write_report(text)
    return due.isoformat()
