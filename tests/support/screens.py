"""Every route of the dashboard at an address that exists: what stands in the table is tried."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, LiteralString
from urllib.parse import quote

from fastapi.routing import APIRoute
from psycopg import AsyncConnection

from ui.app import ROUTERS

# What a parameter of an address stands for in a database of `seeded`.
VALUES: Mapping[str, LiteralString] = {
    "run": "select r.id from runs r join output_chunks o on o.task_id = any("
    "array(select id from tasks t where t.run_id = r.id and t.state = 'FAILED')) "
    "where r.state = 'FAILED' and r.total > 3 order by r.id desc limit 1",
    "task": "select t.position from tasks t where t.run_id = %(run)s and t.state = 'FAILED'",
    "attempt": "select t.attempt from tasks t where t.run_id = %(run)s and t.state = 'FAILED'",
    "file": "select id from task_files where run_id = %(run)s order by id limit 1",
    "type": "select 'press-line'",
    "record": "select record_id from runs where type = 'press-line' and record_id is not null "
    "order by id desc limit 1",
    "letter": "select id from dead_letters where state = 'OPEN' order by id desc limit 1",
    "approval": "select id from approvals where state = 'OPEN' order by id limit 1",
    "worker": "select 'halle-1'",
    "workstation": "select 'presse-1'",
    "invitation": "select id from workstation_invitations where name is not null limit 1",
    "queue": "select 'nightly'",
    "key": "select key from limit_slots order by key limit 1",
    "schedule": "select id from schedules where type = 'backup-database'",
    "backfill": "select id from backfills order by id limit 1",
    "chore": "select id from procrastinate_jobs where status = 'failed' order by id limit 1",
    "secret": "select 'erp/password'",
    "user": "select 'joerg'",
    "alert": "select id from notifications order by id desc limit 1",
    "delivery": "select id from notification_deliveries where state = 'FAILED' order by id limit 1",
    "rule": "select 'nightly-failed'",
    "channel": "select 'schichtleitung'",
    "event": "select id from events where type = 'shop.order.paid' order by id desc limit 1",
    "trigger": "select id from triggers order by id limit 1",
    "webhook": "select 'github'",
    "variable": "select 'site'",
    "line": "select id from audit order by id desc limit 1",
    "rest": "select 'nowhere/at/all'",
}
# The same name, by what stands before it.
BEHIND: Mapping[str, LiteralString] = {
    "/ui/static/": "select 'style.css'",
    "/ui/alerts/rules/": "select 'nightly-failed'",
    "/ui/alerts/channels/": "select 'schichtleitung'",
    "/ui/runs/selections/": "select id from run_selections order by created_at desc limit 1",
    "/ui/dead-letters/selections/": "select id from dead_letter_selections "
    "order by created_at desc limit 1",
}
# Where the name alone does not say it.
OF_ROUTES: Mapping[str, Mapping[str, str]] = {
    "ui_run_command": {"verb": "hold"},
    "ui_record_command": {"verb": "stop"},
    "ui_worker_command": {"verb": "drain"},
    "ui_station_command": {"verb": "hold"},
    "ui_queue_command": {"verb": "resume"},
    "ui_secret_command": {"verb": "delete"},
    "ui_user_command": {"verb": "disable"},
    "ui_command_runs": {"action": "hold"},
}
# Pages about something that their query names.
QUERIES: Mapping[str, str] = {"ui_retry_chores_confirm": "?chore=chores.export"}
# What is no page: files, streams of events, and what only leads elsewhere.
NO_PAGES = frozenset({"ui_root", "ui_static", "ui_find", "ui_run_file", "ui_log_raw", "ui_bundle"})


@dataclass(frozen=True, slots=True)
class Screen:
    name: str
    method: str
    path: str

    @property
    def is_stream(self) -> bool:
        return self.name.endswith("_stream")

    @property
    def is_page(self) -> bool:
        return self.method == "GET" and self.name not in NO_PAGES and not self.is_stream


async def screens(conn: AsyncConnection[Any]) -> list[Screen]:
    """All of them; a parameter that nothing is said of, or that finds nothing, fails."""
    values: dict[str, Any] = {}
    for name, query in {**VALUES, **BEHIND}.items():
        cursor = await conn.execute(query, values)
        row = await cursor.fetchone()
        if row is not None:
            values[name] = row[0]
    found = [
        Screen(route.name, method, filled(route.name, prefix + route.path, values))
        for prefix, router in ROUTERS
        for route in router.routes
        if isinstance(route, APIRoute)
        for method in route.methods or ()
    ]
    # Who opens the page to sign in is not signed in any more.
    return sorted(found, key=lambda screen: screen.name == "ui_login")


def filled(name: str, path: str, values: Mapping[str, Any]) -> str:
    own = OF_ROUTES.get(name, {})

    def value(match: re.Match[str]) -> str:
        parameter, _, kind = match[1].partition(":")
        places = (values.get(path[: match.start()]), values.get(parameter))
        found = next((each for each in (own.get(parameter), *places) if each is not None), None)
        if found is None:
            raise LookupError(f"{name}: tests/support/screens.py has no value for {match[0]}")
        return quote(str(found), safe="/" if kind == "path" else "")

    return re.sub(r"\{([^}]+)\}", value, path) + QUERIES.get(name, "")
