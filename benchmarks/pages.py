"""What the pages of the dashboard cost over a million runs: every GET there is, with real ids.

The server's application in this process, asked without a socket, one page at a time: what is
measured is its work and the database's. The statements of a page are those that it sends, its size
is that of gzip. Beside the pages as they are found: lists by their filters, a run of ten thousand
items, and a log of a gigabyte.
"""

import base64
import gzip
import os
import re
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString
from unittest import mock

import httpx
from fastapi.routing import APIRoute
from psycopg import AsyncConnection, AsyncCursor

from benchmarks import cpu, seeds
from benchmarks.support import database, postgres, settle
from benchmarks.system import open_connection
from scheduler.app import create_app
from scheduler.domain import ids
from scheduler.services.access import Role, create_token
from scheduler.services.keyring import Keys
from scheduler.settings import ServerSettings
from tests.support import screens
from tests.support.seeded import seed
from tests.support.seeded_runs import Size
from ui.app import ROUTERS

SAMPLES, FEW, WARM = 12, 2, 1  # looks at each page, and of a small database
BUDGET_MS, BUDGET_KIB, BUDGET_LOG_MS = 100, 60, 200
ORIGIN = "http://server"
OWN = {"Sec-Fetch-Site": "same-origin", "Origin": ORIGIN}
SMALL = 0.1  # of a million runs; figures of less say little
TOLD, HEARD = 20_000, 10_000  # runs with tasks, and with output
ITEMS = 10_000
LOG = 1 << 30

Figures = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Cost:
    name: str
    cpu: float  # milliseconds of server and PostgreSQL: what else the machine does changes it least
    p50: float
    p95: float
    statements: int
    kib: float

    def told(self) -> Figures:
        return {
            f"{self.name}_cpu_ms": round(self.cpu, 1),
            f"{self.name}_ms_p50": round(self.p50, 1),
            f"{self.name}_ms_p95": round(self.p95, 1),
            f"{self.name}_statements": self.statements,
            f"{self.name}_kib": round(self.kib, 1),
        }


@contextmanager
def counted() -> Iterator[list[str]]:
    """The statements that are sent."""
    sent: list[str] = []
    execute = AsyncCursor.execute

    async def counting(self: Any, query: Any, *more: Any, **how: Any) -> Any:
        if str(query):
            sent.append(str(query))
        return await execute(self, query, *more, **how)

    with mock.patch.object(AsyncCursor, "execute", counting):
        yield sent


@asynccontextmanager
async def dashboard(url: str, size: Size) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody who is signed in to a server over such a database."""
    with tempfile.TemporaryDirectory(prefix="procession-bench-") as folder:
        app = create_app(url, ServerSettings())
        async with app.router.lifespan_context(app):
            app.state.keys = keys_in(Path(folder))
            async with await open_connection(url) as conn:
                token = await create_token(conn, "benchmark", Role.ADMIN)
            transport = httpx.ASGITransport(app)
            headers = {"Authorization": f"Bearer {token}"}
            async with httpx.AsyncClient(
                transport=transport, base_url=f"{ORIGIN}/api/v1", headers=headers, timeout=900
            ) as api:
                await seed(api, url, size)
            async with httpx.AsyncClient(
                transport=transport, base_url=ORIGIN, timeout=60
            ) as client:
                await sign_in(client, token)
                yield client


def keys_in(folder: Path) -> Keys:
    file = folder / "secret.keys"
    file.write_text(base64.b64encode(os.urandom(32)).decode())
    file.chmod(0o600)
    return Keys(file=file)


async def sign_in(client: httpx.AsyncClient, token: str) -> None:
    page = (await client.get("/ui/login")).text
    [secret, *_] = re.findall(r'name="_form" value="([^"]+)"', page)
    answer = await client.post("/ui/login", data={"_form": secret, "token": token}, headers=OWN)
    if answer.status_code != httpx.codes.SEE_OTHER:
        raise RuntimeError(f"nobody is let in: {answer.text[-400:]}")


def spent(postmaster: int) -> float:
    """Seconds of CPU; of this process those of user code and of the kernel alike."""
    return time.process_time() + cpu.spent_by_postgres(postmaster)


async def cost(
    client: httpx.AsyncClient, name: str, path: str | None, postmaster: int, samples: int = SAMPLES
) -> Cost | None:
    """None for what there is nothing to show of."""
    took = []
    if path is None:
        return None
    before = 0.0
    for number in range(WARM + samples):
        if number == WARM:
            before = spent(postmaster)
        with counted() as sent:
            began = time.perf_counter()
            answer = await client.get(path)
            wall = 1e3 * (time.perf_counter() - began)
        if answer.status_code in (httpx.codes.NOT_FOUND, httpx.codes.CONFLICT):
            return None
        if answer.status_code != httpx.codes.OK:
            raise RuntimeError(f"{path}: {answer.status_code} {answer.text[-400:]}")
        if number >= WARM:
            took.append(wall)
    busy = 1e3 * (spent(postmaster) - before) / samples
    size = len(gzip.compress(answer.content, 6)) / 1024
    hundredths = statistics.quantiles(took, n=20, method="inclusive")
    return Cost(name, busy, statistics.median(took), hundredths[18], len(sent), size)


async def addresses(conn: AsyncConnection[Any], count: int) -> Mapping[str, str | None]:
    """Every page, and lists by their filters; None for a page whose parameter nobody knows."""
    values: dict[str, Any] = {}
    for name, query in {**screens.VALUES, **screens.BEHIND}.items():
        if row := await (await conn.execute(query, values)).fetchone():
            values[name] = row[0]
    found = {
        route.name: address(route.name, prefix + route.path, values)
        for prefix, router in ROUTERS
        for route in router.routes
        if isinstance(route, APIRoute)
        and "GET" in (route.methods or ())
        and route.name not in screens.NO_PAGES | NO_HTML
        and not route.name.endswith("_stream")
    }
    filters = {
        "runs_timeline": "view=timeline&last=30d",
        "runs_board": "view=board",
        "runs_type": "type=press-line",
        "runs_failed": "status=FAILED",
        "runs_type_held": "type=press-line&status=HELD",
        "runs_label": "label=shift:fr%C3%BCh",
        "runs_error": "error=timed+out",
        "runs_error_unknown": "error=no+such+text",
        "runs_by": "triggered_by=schedule",
        "runs_longer": "longer_than=3600",
        "runs_board_type": "view=board&type=laser-cutter",
        "runs_deep": f"cursor={seeds.id_of(count // 20)}",
    }
    return found | {name: f"/ui/runs?{query}" for name, query in filters.items()}


def address(name: str, path: str, values: Mapping[str, Any]) -> str | None:
    try:
        return screens.filled(name, path, values)
    except LookupError:
        return None


NO_HTML = frozenset({"ui_log_raw", "ui_run_file", "ui_nowhere", "ui_login", "ui_diagnostics"})

RUN: LiteralString = """
insert into runs (id, type, type_version, state, priority, input, total, open, triggered_by,
                  created_at, started_at, finished_at, events)
select %(run)s, type, type_version, 'COMPLETED', 4, '{}', %(items)s + 1, 0, 'benchmark',
       now() - interval '1 minute', now() - interval '1 minute', now(), 0
  from runs
 where type = 'press-line'
 limit 1
"""
TASKS: LiteralString = """
insert into tasks (run_id, position, name, kind, state, passed, queue, rank, required, needed, open,
                   successors, settles, judged, on_lost, attempt, counted, exit_code, started_at,
                   finished_at, role, of, item)
select %(run)s, n, case when n = 0 then 'each' else 'each[' || n - 1 || ']' end, 'run',
       case when n %% 100 = 3 then 'FAILED' else 'COMPLETED' end::task_state, n %% 100 <> 3,
       'default', 9, 0, 0, 0, '{}', false, true, 'retry', 1, 1,
       case when n %% 100 = 3 then 1 else 0 end, now() - interval '1 minute', now(),
       case when n = 0 then 'task' else 'item' end, case when n > 0 then 0 end,
       case when n > 0 then to_jsonb(n) end
  from generate_series(0, %(items)s) as n
returning id
"""
ATTEMPTS: LiteralString = """
insert into attempts (run_id, task_id, number, round, state, counted, started_at, exit_code)
select run_id, id, 1, 1, case when exit_code = 0 then 'SUCCEEDED' else 'FAILED' end::attempt_state,
       true, started_at, exit_code
  from tasks
 where run_id = %(run)s
"""
PARTS: LiteralString = """
insert into output_chunks (task_id, attempt, start, stream, data)
select %(task)s, 1, n::bigint * 65536, 1,
       convert_to(rpad('part ' || n || E'\n' || %(text)s, 65536, E'and so on\n'), 'UTF8')
  from generate_series(0, %(parts)s - 1) as n
"""


async def grow(conn: AsyncConnection[Any], items: int, size: int) -> tuple[str, int]:
    """A run of so many items, and a log of that size of its first task."""
    run = ids.new_id()
    await conn.execute(RUN, {"run": run, "items": items})
    cursor = await conn.execute(TASKS, {"run": run, "items": items})
    task = min(row[0] for row in await cursor.fetchall())
    await conn.execute(ATTEMPTS, {"run": run})
    text = "".join(f"{n:07d} {os.urandom(24).hex()} is fine\n" for n in range(990))
    parts = max(1, size // 65536)
    await conn.execute(PARTS, {"task": task, "text": text, "parts": parts})
    return str(run), parts * 65536


def grown(run: str, size: int) -> Mapping[str, str]:
    here, log = f"/ui/runs/{run}", f"/ui/runs/{run}/tasks/0/1/log"
    near, part = max(0, size // 2 - 65536 * 20), size // 65536 // 2
    tabs = ("graph", "timeline", "logs", "events", "compare", "related", "files", "undo")
    return {
        "wide_run": here,
        "wide_run_items": f"{here}?of=0&state=FAILED",
        **{f"wide_run_{tab}": f"{here}/{tab}" for tab in tabs},
        "wide_run_timeline_items": f"{here}/timeline?of=0",
        "large_log_end": log,
        "large_log_beginning": f"{log}?from=0",
        "large_log_middle": f"{log}?from={size // 2}",
        "large_log_search": f"{log}?q=part+{part}&from={near}",
        "large_log_search_nothing": f"{log}?q=absent&from={size // 2}",
        "large_log_back": f"{log}?q=absent&back=1&to={size // 2}",
    }


async def main(options: Any) -> Figures:
    count = int(seeds.RUNS * options.scale)
    told, heard = min(TOLD, count // 5 + 300), min(HEARD, count // 30 + 200)
    size = Size(runs=count, told=told, heard=heard)
    async with (
        postgres(options.database_url) as server,
        database(server) as url,
        dashboard(url, size) as client,
        await AsyncConnection.connect(url, autocommit=True) as conn,
    ):
        run, stored = await grow(conn, int(ITEMS * min(options.scale, 1)) or 1, log_of(options))
        asked = {**await addresses(conn, count), **grown(run, stored)}
        await settle(url)
        postmaster = await cpu.postmaster(conn)
        samples = SAMPLES if options.scale >= SMALL else FEW
        costs = {
            name: await cost(client, name, path, postmaster, samples)
            for name, path in sorted(asked.items())
        }
    return summary(count, stored, costs)


def log_of(options: Any) -> int:
    return int(LOG * min(options.scale, 1))


def summary(count: int, stored: int, asked: Mapping[str, Cost | None]) -> Figures:
    costs = [each for each in asked.values() if each is not None]
    told: Figures = {"runs": count, "log_mib": stored >> 20, "pages": len(costs)}
    for each in costs:
        told |= each.told()
    none = [name for name, each in asked.items() if each is None]
    slow = [each.name for each in costs if each.p95 > budget(each.name)]
    wide = [each.name for each in costs if each.kib > BUDGET_KIB]
    return told | {
        "worst_ms_p95": max(round(each.p95, 1) for each in costs),
        "worst_cpu_ms": max(round(each.cpu, 1) for each in costs),
        "worst_kib": max(round(each.kib, 1) for each in costs),
        "worst_statements": max(each.statements for each in costs),
        "without_an_answer": " ".join(none) or "none",
        "over_ms": " ".join(slow) or "none",
        "over_kib": " ".join(wide) or "none",
    }


def budget(name: str) -> int:
    return BUDGET_LOG_MS if name.startswith("large_log") else BUDGET_MS
