"""The book of orders on the disk: tables in the agent's own book, within its transactions."""

import json
from typing import Any, TypeVar, cast

from edge import wire
from edge.agent.peering import Asked, Given
from edge.agent.store import DiskBook

SCHEMA = """
create table if not exists peer_asked (run text primary key, row text not null) without rowid;
create table if not exists peer_given (run text primary key, row text not null) without rowid;
create table if not exists peer_over (run text primary key) without rowid;
"""
HORIZON = "peers_horizon"

R = TypeVar("R", Asked, Given)


class PeerLedger:
    """See `edge.agent.peering.PeerBook`. What is open is in memory as well, what is over is not."""

    def __init__(self, book: DiskBook) -> None:
        self.book = book
        book.db.executescript(SCHEMA)
        book.reloads.append(self.load)
        self.load()

    def load(self) -> None:
        """As the disk has it: after a start, and when a transaction was given up."""
        self.asked: dict[str, Asked] = self.stored("peer_asked", Asked)
        self.given: dict[str, Given] = self.stored("peer_given", Given)
        found = self.book.db.execute("select value from facts where name = ?", (HORIZON,))
        self.horizon = float((found.fetchone() or (0.0,))[0])

    def stored(self, table: str, kind: type[R]) -> dict[str, R]:
        read = wire.record(cast("Any", kind))
        found = self.book.db.execute(f"select run, row from {table} order by run")
        return {run: read(json.loads(row), table) for run, row in found}

    @property
    def lineage(self) -> str:
        return self.book.lineage

    def commit(self) -> None:
        self.book.commit()

    def put_asked(self, asked: Asked) -> None:
        self.book.change("insert or replace into peer_asked values (?, ?)", asked.run, text(asked))
        self.asked[asked.run] = asked

    def drop_asked(self, run: str) -> None:
        self.book.change("delete from peer_asked where run = ?", run)
        del self.asked[run]

    def put_given(self, given: Given) -> None:
        self.book.change("insert or replace into peer_given values (?, ?)", given.run, text(given))
        self.given[given.run] = given

    def drop_given(self, run: str) -> None:
        self.book.change("insert or ignore into peer_over values (?)", run)
        self.book.change("delete from peer_given where run = ?", run)
        del self.given[run]

    def is_over(self, run: str) -> bool:
        found = self.book.db.execute("select 1 from peer_over where run = ?", (run,))
        return found.fetchone() is not None

    def forget_over(self, before: float) -> None:
        if before <= self.horizon:
            return
        self.book.put(HORIZON, before)
        self.book.change("delete from peer_over where run < ?", first_of(before))
        self.horizon = before


def text(row: Asked | Given) -> str:
    return json.dumps(wire.plain(row), ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def first_of(moment: float) -> str:
    """The ids that were made before sort before this."""
    stamp = f"{max(0, round(moment * 1000)):012x}"
    return f"{stamp[:8]}-{stamp[8:]}"
