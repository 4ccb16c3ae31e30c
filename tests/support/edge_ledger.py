"""What commands on workstations themselves noted on the disk, held against what was recorded."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import psycopg
from psycopg.rows import dict_row

from tests.support.agents import SHELL, Station
from tests.support.system import FINAL, Asking, System, ledger_of
from tests.support.waiting import patience

NOTE = "| dd of={ledger} oflag=append conv=notrunc,fsync status=none"
# Notes that it begins, prints numbers, pauses, so many times; notes that it ends.
WORK = """
echo begin $1 $$ {note}
for round in 1 2 3 4 5; do seq $2; sleep $3; done
echo end $1 $$ {note}
exit $(($1 % 3))
"""
ROUNDS = 5
RECORDED = """
select r.input, t.id || '.' || a.number as attempt, a.exit_code, a.detail,
       (select string_agg(data, ''::bytea order by start)
          from output_chunks c
         where c.task_id = t.id and c.attempt = a.number) as output
  from runs r join tasks t on t.run_id = r.id join attempts a on a.task_id = t.id
 where r.type = any(%s)
"""


@dataclass
class Ledger:
    system: System
    api: Asking
    file: Path
    types: list[str] = field(default_factory=list)
    count: int = 0  # commands that were ordered

    def __post_init__(self) -> None:
        self.file.touch()

    async def publish(self, name: str, place: dict[str, Any]) -> str:
        script = WORK.format(note=NOTE.format(ledger=self.file))
        given = ("${{ input.n }}", "${{ input.lines }}", "${{ input.pause }}")
        task = {
            "name": "it",
            "run": [SHELL, "-c", script, "work", *given],
            "on": place,
            "on_failure": "continue",
        }
        await self.api.publish({"name": name, "tasks": [task]})
        self.types.append(name)
        return name

    async def order(self, type: str, *, lines: int, pause: float) -> None:
        given = {"n": self.count, "lines": lines, "pause": pause}
        key = {"Idempotency-Key": f"{type}-{self.count}"}
        async with asyncio.timeout(patience(120)):
            while True:  # a server that has just been started may have to be asked again
                answer = await self.api.http.post(
                    "/runs", json={"type": type, "input": given}, headers=key
                )
                if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                    break
                await asyncio.sleep(0.2)
        assert answer.is_success, answer.text
        self.count += 1

    def begun(self) -> "Counter[int]":
        return Counter(int(n) for what, n, _ in ledger_of(self.file) if what == "begin")

    def ended(self) -> dict[int, int]:
        """Their process ids."""
        return {int(n): int(pid) for what, n, pid in ledger_of(self.file) if what == "end"}

    def alive(self) -> int:
        return self.begun().total() - len(self.ended())

    async def settled(self, within: float = 90.0) -> None:
        for name in self.types:
            after: dict[str, Any] = {}
            while True:
                page = await self.api.get("/runs", type=name, limit=100, **after)
                for run in page["items"]:
                    if run["status"] not in FINAL:
                        await self.api.ended(run["id"], within=within)
                if not page.get("next"):
                    break
                after = {"cursor": page["next"]}

    async def delivered(self, stations: Sequence[Station]) -> int:
        """Once the server has all that they printed, which may come after their results.

        Answers how many outputs were not whole when their runs were over: each of them was still
        at its workstation then, and nowhere lost on its way.
        """
        there = await asyncio.gather(*(each.answers() for each in stations))
        kept = {attempt["attempt"] for told in there for attempt in told["attempts"]}
        short = [each for each in self.recorded() if each["exit_code"] is not None and wrong(each)]
        for row in short:
            assert row["attempt"] in kept, f"nobody has it any more: {wrong(row)}"
        await asyncio.gather(*(each.delivered() for each in stations))
        return len(short)

    def check(self, told: str) -> None:
        """Each began once and ended once, and is recorded as what it was."""
        all_of_them = Counter(range(self.count))
        assert self.begun() == all_of_them, told
        pids = self.ended()
        assert Counter(pids.keys()) == all_of_them, told
        rows = [each for each in self.recorded() if each["exit_code"] is not None]
        assert Counter(each["input"]["n"] for each in rows) == all_of_them, told
        for row in rows:
            n = row["input"]["n"]
            assert (row["exit_code"], row["detail"]["pid"]) == (n % 3, pids[n]), told
            assert not wrong(row), f"{told}; {wrong(row)}"

    def recorded(self) -> list[dict[str, Any]]:
        url = self.system.environment["PROCESSION_DATABASE_URL"]
        with psycopg.connect(url, row_factory=dict_row) as conn:
            return conn.execute(RECORDED, [self.types]).fetchall()


def wrong(row: dict[str, Any]) -> str:
    """How an output differs from what was printed; empty where it does not."""
    found, given = row["output"] or b"", row["input"]
    if hashlib.sha256(found).hexdigest() == printed(given["lines"]):
        return ""
    return f"{given} printed {len(found)} bytes, which end {found[-40:]!r}: {row['detail']}"


@cache
def printed(lines: int) -> str:
    text = b"".join(b"%d\n" % number for number in range(1, lines + 1)) * ROUNDS
    return hashlib.sha256(text).hexdigest()
