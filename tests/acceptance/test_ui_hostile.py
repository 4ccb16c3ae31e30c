"""Sixty texts that would like to be scripts, in every field: a real browser shows them as texts."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any, LiteralString
from urllib.parse import unquote

import pytest
from fastapi.routing import APIRoute
from playwright.async_api import Browser
from psycopg import AsyncConnection
from starlette.routing import Match

from executor.base import Ending, Outcome
from scheduler.store import output
from scheduler.store.output import Chunk
from tests.support import pages
from tests.support.builders import a_holder, claimed, engine, record
from tests.support.hostile_texts import STRIKES
from tests.support.pages import Visitor
from tests.support.screens import Screen
from tests.support.system import Asking, System
from ui.app import ROUTERS

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(900)]

TEXTS = [text.replace("\x1b", "") for text in STRIKES]  # no name holds what steers a terminal
ALL = "\n".join(TEXTS)
QUEUE = "hostile"  # which no worker serves: what comes of it is recorded here

# What is written where no person may write: host names and the agents of browsers, old decisions.
BEHIND: Sequence[LiteralString] = (
    """
insert into holders (name, kind, incarnation, host, pid, version, queues, slots, lease_until)
select t || n, 'worker', t || n, t, 1, t, array[t], 1, now() + interval '1 hour'
  from unnest(%(texts)s::text[]) with ordinality as h (t, n)
    """,
    """
with made as (
    insert into workstations (name, state, labels, told_labels, note, public_key, address, version,
                              facts, policy, carrier, heard_at, metrics, server, draining,
                              drain_reason, drained_by, created_by, accepted_by)
    select t || n, case n %% 3 when 0 then 'PENDING' else 'ACCEPTED' end::workstation_state,
           jsonb_build_object(t, t), jsonb_build_object('site', t), t, t || n, t, t,
           jsonb_build_object(t, t, 'hostname', t, 'doctor', jsonb_build_array(
               jsonb_build_object('name', t, 'state', t, 'said', t))),
           jsonb_build_object(t, t, 'digest', t, 'programs', array[t]), 'stream', now(),
           jsonb_build_object(t, t, 'temperature', t, 'cpu', t, 'outbox_items', t), t,
           n %% 2 = 0, t, t, t, t
      from unnest(%(texts)s::text[]) with ordinality as w (t, n)
    returning id, note
), asked as (
    insert into workstation_commands (workstation, verb, attempt, reason, asked_by, why)
    select id, note, note, note, note, note from made
), seen as (
    insert into workstation_sightings (workstation, carrier, why) select id, note, note from made
), working as (
    insert into workstation_hands (workstation, task_id, attempt, run_id, stage)
    select made.id, t.id, 1, t.run_id, 'RUNNING'
      from made, (select id, run_id from tasks where name like 't%%' order by id limit 2) as t
)
insert into workstation_invitations (digest, name, labels, expires_at, created_by)
select sha256(convert_to(note, 'UTF8')), note, jsonb_build_object(note, note),
       now() + interval '1 hour', note
  from made
    """,
    """
insert into sessions (digest, user_id, source, agent, expires_at, ends_at)
select sha256(convert_to(n::text, 'UTF8')), (select min(id) from users), t, t,
       now() + interval '1 hour', now() + interval '1 hour'
  from unnest(%(texts)s::text[]) with ordinality as s (t, n)
    """,
    """
insert into chore_history (job, chore, args, attempt, state, server, error, trace)
select n, t, jsonb_build_object(t, t), 1, 'FAILED', t, t, t
  from unnest(%(texts)s::text[]) with ordinality as c (t, n)
    """,
    """
insert into ticks (schedule_id, tick, kind, state, reason, due_at)
select (select min(id) from schedules), now() - n * interval '1 minute', 'time', 'SKIPPED', t, now()
  from unnest(%(texts)s::text[]) with ordinality as k (t, n)
    """,
    """
insert into notifications (rule, key, subject, data)
select (select max(id) from notification_rules), t || n, t, jsonb_build_object('error', t, t, t)
  from unnest(%(texts)s::text[]) with ordinality as a (t, n)
    """,
    """
insert into limit_slots (key, slot) select t || n, 1
  from unnest(%(texts)s::text[]) with ordinality as l (t, n)
    """,
    """
insert into audit (actor, source, operation, entity, entity_id, action, before, after)
select t, t, t, t, t, 'change', jsonb_build_object(t, t), jsonb_build_object(t, t)
  from unnest(%(texts)s::text[]) with ordinality as u (t, n)
    """,
    """
insert into procrastinate_jobs (queue_name, task_name, args, status, attempts)
select 'chores', t, jsonb_build_object(t, t), 'failed', 5
  from unnest(%(texts)s::text[]) as j (t)
    """,
)


def a_type(name: str, text: str) -> dict[str, Any]:
    field = {"type": "string", "title": text, "description": text, "default": text}
    return {
        "name": name,
        "description": text,
        "queue": QUEUE,
        "labels": {"said": text},
        "input": {
            "type": "object",
            "properties": {"field": field, "choice": {"enum": [text, "x"], "title": text}},
        },
        "tasks": [
            {"name": f"t{n}", "run": ["echo", each], "description": each, "needs": []}
            for n, each in enumerate(TEXTS)
        ],
    }


def asking(name: str, text: str) -> dict[str, Any]:
    form = {"type": "object", "properties": {"x": {"type": "string", "title": text}}}
    return {
        "name": name,
        "tasks": [{"name": "it", "approval": {"message": text, "form": form}}],
        "schedules": [{"cron": "0 0 1 1 *", "input": {"said": text}}],
    }


async def written(api: Asking) -> str:
    """Through the API, by somebody who means it; the run with a task of each text."""
    await api.publish(a_type("hostile", ALL[:2000]))
    user = {"name": "mallory", "role": "viewer", "display_name": TEXTS[0]}
    await api.post("/users", user)
    rule = {"name": "hostile", "event": "failed", "channels": []}
    channel = {"name": "hostile", "email": {"to": ["mallory@example.org"]}}
    await api.post("/notifications/channels", channel)
    await api.post("/notifications/rules", {**rule, "channels": ["hostile"]})
    for n, text in enumerate(TEXTS):
        name = "".join(each for each in text if each.isprintable())
        made = {"id": f"{n} {name}".replace("/", "|")[:200], "type": "hostile"}
        more = {"description": text, "input": {text[:60]: text}, "vars": {f"v{n}": text}}
        await api.post("/process-records", {**made, **more})
        await api.publish(asking(f"asks-{n}", text))
        await api.post("/runs", {"type": f"asks-{n}"})
        await api.post("/tokens", {"name": name, "role": "viewer"})
        event = {"source": name, "id": name, "type": name, "key": name, "data": {text: text}}
        await api.post("/events", event)
        await api.http.put(f"/variables/v{n}", json={"value": text, "note": text})
    await api.http.put("/secrets/hostile", json={"value": "secret", "note": ALL[:2000]})
    await api.post(f"/queues/{QUEUE}/pause", {"note": ALL[:2000]})
    labels = {f"l{n}": text for n, text in enumerate(TEXTS[:20])}
    run = await api.post("/runs", {"type": "hostile", "input": {"field": ALL}, "labels": labels})
    await api.post(f"/queues/{QUEUE}/resume")
    return str(run["id"])


async def planted(dsn: str) -> None:
    await carried_out(dsn)
    async with await AsyncConnection.connect(dsn, autocommit=True) as conn:
        for statement in BEHIND:
            await conn.execute(statement, {"texts": TEXTS})


async def carried_out(dsn: str) -> None:
    """Each task prints its text and fails with it."""
    async with await engine(dsn) as conn:
        holder = await a_holder(conn, TEXTS[3])
        mine = await claimed(conn, holder, limit=len(STRIKES), queue=QUEUE)
        assert len(mine) == len(STRIKES)
        for task, text in zip(mine, STRIKES, strict=True):
            data = text.encode()
            parts = ((0, 1), (len(data), 2))
            chunks = [
                Chunk(task_id=task.id, attempt=1, start=start, stream=stream, data=data)
                for start, stream in parts
            ]
            await output.append(conn, holder, chunks)
            failed = Outcome(
                ending=Ending.FAILED, error=text, retryable=False, output=json.dumps({text: text})
            )
            await record(conn, holder, [task], failed)


# How many pages of a route are opened: of most the lists show all texts, of these each page one.
MANY = {
    "ui_attempt": len(STRIKES),
    "ui_record": 20,
    "ui_log": 20,
    "ui_alert": 6,
    "ui_workstation": 6,
    "ui_station": 6,
    "ui_invitation": 6,
    "ui_audit_line": 6,
}
FEW = 2
APART = ("ui_login", "ui_nowhere")
# Every page whose address names nothing.
BEGINNINGS = [
    prefix + route.path
    for prefix, router in ROUTERS
    for route in router.routes
    if isinstance(route, APIRoute) and "GET" in (route.methods or ()) and "{" not in route.path
]


def route_of(path: str) -> str | None:
    """The name of the page; None for what is no page."""
    scope = {"type": "http", "method": "GET", "path": unquote(path), "root_path": ""}
    for prefix, router in ROUTERS:
        for route in router.routes:
            within = {**scope, "path": scope["path"].removeprefix(prefix)}
            if str(scope["path"]).startswith(prefix) and route.matches(within)[0] is Match.FULL:
                name = route.name if isinstance(route, APIRoute) else ""
                is_page = Screen(name, "GET", path).is_page and name not in (
                    "ui_login",
                    "ui_nowhere",
                )
                return name if is_page else None
    return None


async def crawled(someone: Visitor, todo: list[str]) -> dict[str, int]:
    """How many pages of each route were opened that showed one of the texts."""
    opened: Counter[str] = Counter()
    showed: Counter[str] = Counter()
    seen = set(todo)
    while todo:
        path = todo.pop()
        name = route_of(path.partition("?")[0])
        if name is None or opened[name] >= MANY.get(name, FEW):
            continue
        opened[name] += 1
        answer = await someone.page.goto(someone.url + path)
        assert answer is not None
        assert answer.status < 500, path
        showed[name] += "struck(" in await answer.text()
        links = await someone.page.eval_on_selector_all(
            "a[href^='/ui']:not([download])", "all => all.map((each) => each.getAttribute('href'))"
        )
        fresh = [link.partition("#")[0] for link in links if link not in seen]
        seen |= set(fresh)
        todo[:0] = fresh
    return dict(showed)


async def test_what_is_hostile_is_shown_as_the_text_that_it_is(
    system: System, chromium: Browser
) -> None:
    async with system.asking() as api:
        run = await written(api)
    await planted(system.environment["PROCESSION_DATABASE_URL"])
    tasks = [f"/ui/runs/{run}/tasks/{n}" for n in range(len(STRIKES))]
    logs = [f"{task}/1/log" for task in tasks]
    async with pages.visitor(chromium, system.url) as admin:
        await admin.context.expose_function(
            "struck", lambda n: admin.troubles.append(f"struck {n}")
        )
        await admin.sign_in(system.token)
        showed = await crawled(admin, [*logs, *tasks, f"/ui/runs/{run}", *BEGINNINGS])
    assert showed["ui_attempt"] == len(STRIKES)
    assert len([name for name, count in showed.items() if count]) > 40, showed


async def test_a_text_that_is_believed_would_be_noticed(system: System, chromium: Browser) -> None:
    """The other half: these texts do strike where a page takes them for what they are."""
    struck: set[int] = set()
    async with pages.visitor(chromium, system.url) as someone:
        await someone.context.expose_function("struck", lambda n: struck.add(n))
        for text in STRIKES:
            await someone.page.set_content(f"<!doctype html><body>{text}")
        assert len(struck) > 25, struck
        someone.troubles.clear()
