"""Who may start what here, as the server said last: somebody may show a grant that was signed
before, and would get none any more.

What was signed later counts by itself: whoever shows it has heard from the server after us.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from edge.agent.peering import allows
from edge.identity import SLACK, Grant
from edge.messages import Stock

MOST = 1_000  # keys that are remembered as shut out


@dataclass(frozen=True, slots=True)
class Caller:
    key: str
    types: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Callers:
    known: Mapping[str, Caller] | None = None  # by their names; None: nothing was said
    at: float = 0.0
    shut_out: frozenset[str] = frozenset()  # keys, also of those that nobody speaks of any more

    def is_older(self, grant: Grant) -> bool:
        return grant.since <= self.at + SLACK

    def is_shut_out(self, grant: Grant) -> bool:
        """It was revoked, or has another key: nothing of it is heard any more."""
        caller = (self.known or {}).get(grant.station)
        is_other = caller is not None and caller.key != grant.key
        return self.is_older(grant) and (is_other or grant.key in self.shut_out)

    def objection(self, grant: Grant, type: str) -> str | None:
        """Why a grant that is well signed does not count for this."""
        if self.known is None or not self.is_older(grant):
            return None
        caller = self.known.get(grant.station)
        if caller is None or caller.key != grant.key:
            return f"the grant of {grant.station!r} counts no more: it was taken back on the server"
        if not allows(caller.types, type):
            return f"{grant.station!r} may not start {type!r} here any more"
        return None


def told(callers: Mapping[str, Any] | None, at: float, shut_out: Iterable[str] = ()) -> Callers:
    """What is no caller is none that may start anything. Who is shut out stays so until it is told
    of as one that may start something."""
    if callers is None:
        return Callers(None, at, frozenset(shut_out))
    found = {name: caller for name, each in callers.items() if (caller := read_caller(each))}
    revoked = [each.key for each in found.values() if not each.types]
    let_in = {each.key for each in found.values() if each.types}
    keys = [key for key in dict.fromkeys((*revoked, *shut_out)) if key not in let_in]
    return Callers(found, at, frozenset(keys[:MOST]))


def read_caller(said: Any) -> Caller | None:
    if not isinstance(said, Mapping) or not isinstance(said.get("types"), list | tuple):
        return None
    return Caller(str(said.get("key")), tuple(str(each) for each in said["types"]))


def written(stock: Stock, before: Callers) -> str:
    return json.dumps([stock.callers, stock.at, sorted(before.shut_out)])


def read(text: str) -> Callers:
    return told(*json.loads(text))
