"""Servers call workstations that listen: what is said over such a connection is the same."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from uuid import UUID

import pytest
from websockets.asyncio.server import ServerConnection

from edge import doors, identity, knocking
from edge.agent import certificate
from edge.agent.listener import Listener, Listening
from edge.doors import PEERS, STREAM
from edge.identity import Grant
from edge.knocking import Caller, Self, Signs, Visitor
from scheduler.services import signing
from tests.support.gateways import Line, Machine, Served, a_machine, a_server
from tests.support.publishing import publish, start
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

NUMBERS = count(1)


@dataclass
class Called:
    """A workstation that waits for the call of its server."""

    machine: Machine
    listener: Listener
    address: str = ""
    lines: list[Line] = field(default_factory=list)
    open: int = 0
    peers: int = 0

    async def stream(self, socket: ServerConnection, visitor: Visitor) -> None:
        line = Line(self.machine, socket)
        self.lines.append(line)
        self.open += 1
        try:
            await line.go_on()
        finally:
            self.open -= 1
            self.machine.agent.disconnect()

    async def peer(self, socket: ServerConnection, visitor: Visitor) -> None:
        self.peers += 1


@asynccontextmanager
async def called(served: Served) -> AsyncIterator[Called]:
    machine = await a_machine(served, f"called-{next(NUMBERS)}")
    server_key = identity.public(await signing.key(served.conn, served.keys))
    me = Self(machine.name, "book", knocking.signer(machine.key), lambda: server_key)
    path = certificate.made(served.folder / machine.name / "certificate.pem", machine.name)
    there = Called(machine, Listener(Listening("127.0.0.1", 0, path), me, {}))
    there.listener.guests = {STREAM: there.stream, PEERS: there.peer}
    there.address = f"wss://127.0.0.1:{await there.listener.open()}"
    try:
        yield there
    finally:
        await forget(served, machine.name)
        await there.listener.close()


async def has_address(served: Served, name: str, address: str) -> None:
    body = {"address": address, "is_dialled": True}
    headers = {"If-Match": "*"}
    answer = await served.api.patch(f"/workstations/{name}", json=body, headers=headers)
    assert answer.status_code == 200, answer.text


async def forget(served: Served, name: str) -> None:
    await served.conn.execute("update workstations set is_dialled = false where name = %s", [name])


async def order(served: Served, name: str) -> UUID:
    task = f"{{name: it, run: [saw], on: {{workstation: {name}}}}}"
    await publish(served, f"name: on-{name}\ntasks: [{task}]\n")
    return await start(served, f"on-{name}")


async def test_a_task_is_carried_out_by_a_workstation_that_is_called(served: Served) -> None:
    async with called(served) as station:
        machine = station.machine
        await has_address(served, machine.name, station.address)
        await machine.has_session()
        run = await order(served, machine.name)
        offer = await machine.has_begun()
        machine.print(offer.attempt, b"sawn\n")
        machine.end(offer.attempt)
        await served.becomes("select 1 from runs where id = %s and state = 'COMPLETED'", run)
        query = "select carrier from workstations where name = %s and unreached is null"
        assert await served.one(query, machine.name) == "stream"


async def test_one_that_is_cut_off_is_called_again(served: Served) -> None:
    async with called(served) as station:
        machine = station.machine
        await has_address(served, machine.name, station.address)
        session = await machine.has_session()
        station.lines[0].socket.transport.abort()
        await until(lambda: len(station.lines) == 2 or None)
        assert await machine.has_session() > session


async def test_of_two_servers_one_calls(served: Served, tmp_path: Path) -> None:
    async with called(served) as station:
        keys = served.keys
        assert keys.data_dir is not None
        async with a_server(served.dsn, keys.data_dir) as other:
            await has_address(served, station.machine.name, station.address)
            await station.machine.has_session()
            run = await order(other, station.machine.name)
            offer = await station.machine.has_begun()
            station.machine.end(offer.attempt)
            await other.becomes("select 1 from runs where id = %s and state = 'COMPLETED'", run)
            there = [
                each.streams.get(station.machine.name) for each in (served.gateway, other.gateway)
            ]
            assert [each is None for each in there].count(True) == 1
            assert len(station.lines) == 1


async def test_when_nothing_is_to_be_called_any_more_it_hangs_up(served: Served) -> None:
    async with called(served) as station:
        await has_address(served, station.machine.name, station.address)
        await station.machine.has_session()
        await forget(served, station.machine.name)
        await until(lambda: station.open == 0 or None)


async def test_why_one_is_not_reached_is_told(served: Served) -> None:
    async with called(served) as station:
        await station.listener.close()
        await has_address(served, station.machine.name, station.address)
        query = "select unreached from workstations where name = %s and unreached is not null"
        why = await served.becomes(query, station.machine.name)
        assert station.address in why
        shown = (await served.api.get(f"/workstations/{station.machine.name}")).json()
        assert station.address in shown["unreached"]


async def test_one_that_has_called_by_itself_sends_the_server_away(served: Served) -> None:
    async with called(served) as station:

        async def busy(socket: ServerConnection, visitor: Visitor) -> None:
            await socket.close(4409, "this workstation has called by itself")

        station.listener.guests = {STREAM: busy}
        await has_address(served, station.machine.name, station.address)
        query = "select unreached from workstations where name = %s and unreached is not null"
        why = await served.becomes(query, station.machine.name)
        assert why == "sent away: this workstation has called by itself"


async def test_another_machine_at_its_address_is_told_nothing(served: Served) -> None:
    async with called(served) as station:
        other = await a_machine(served, f"called-{next(NUMBERS)}")
        await has_address(served, other.name, station.address)
        query = "select unreached from workstations where name = %s and unreached is not null"
        why = await served.becomes(query, other.name)
        assert f"the token is for '{other.name}', and this is '{station.machine.name}'" in why
        assert not station.lines
        await forget(served, other.name)


def a_pretender(
    station: Called, sign: Signs, grant: Grant, token: str, nonce: str, binding: str
) -> Caller:
    machine = station.machine
    return Caller(
        sign,
        grant.station,
        token,
        name=machine.name,
        key=identity.public(machine.key),
        nonce=nonce,
        binding=binding,
    )


async def test_nobody_but_the_server_is_taken_for_it(served: Served) -> None:
    """Whatever it shows: the grant of a peer, a token of another server, one that has expired."""
    async with called(served) as station:
        name, key = station.machine.name, await signing.key(served.conn, served.keys)
        own = identity.public(key)
        peer = Grant("saw", name, 9e9, types=("*",), key=identity.public(station.machine.key))
        late = Grant(identity.at_server(own), name, 1.0, key=own)
        for grant, signs, why in (
            (peer, station.machine.key, "sent away: 'saw' is not our server"),
            (late, key, "sent away: the server's token has expired"),
        ):
            token = identity.issue(key, grant)

            pretender = partial(a_pretender, station, knocking.signer(signs), grant, token)
            socket, _ = await doors.call(doors.read_address(station.address), STREAM, pretender)
            async with asyncio.timeout(60):
                await socket.wait_closed()
            assert (socket.close_code, why in f"sent away: {socket.close_reason}") == (4401, True)
        assert not station.lines


async def test_the_server_is_no_peer(served: Served) -> None:
    async with called(served) as station:
        key = await signing.key(served.conn, served.keys)
        own, name = identity.public(key), station.machine.name
        token = identity.issue(key, Grant(identity.at_server(own), name, 9e9, key=own))

        def caller(nonce: str, binding: str) -> Caller:
            known = identity.public(station.machine.key)
            me = identity.at_server(own)
            return Caller(
                knocking.signer(key), me, token, name=name, key=known, nonce=nonce, binding=binding
            )

        socket, _ = await doors.call(doors.read_address(station.address), PEERS, caller)
        async with asyncio.timeout(60):
            await socket.wait_closed()
        assert (socket.close_code, station.peers) == (4401, 0)
