"""A workstation's key gives way to another one, whatever is lost while it does."""

from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path

import pytest

from edge import identity
from edge.agent import joining, keys
from edge.agent.home import Config, Home
from edge.agent.keys import KeyRing
from edge.agent.tokens import Tokens
from edge.agent.web import Unanswered, Web
from scheduler.services import station_tokens, workstations
from tests.support.gateways import Served

pytestmark = pytest.mark.anyio


class Joined:
    """A machine that has joined, as it lies on its disk."""

    def __init__(self, served: Served, home: Home) -> None:
        self.served, self.home = served, home
        self.web = Web(served.url)

    @property
    def config(self) -> Config:
        return self.home.load()

    def tokens(self) -> Tokens:
        """Of an agent that starts now."""
        return Tokens(self.web, self.config.name, KeyRing(self.home), self.config.server_key)

    def key(self) -> str:
        return identity.public(identity.read_key(self.home.key))

    async def known(self) -> str:
        """The key that the server goes by."""
        query = "select public_key from workstations where name = %s"
        found: str = await self.served.one(query, self.config.name)
        return found

    async def served_but_not_answered(self) -> str:
        """A change of keys that reached the server, of which the machine heard nothing."""
        tokens = self.tokens()
        row = await workstations.authenticated(
            self.served.conn, self.served.keys, await tokens.get(), self.config.name
        )
        successor = identity.public(tokens.ring.successor())
        proof = identity.hand_over(tokens.ring.key, successor)
        await station_tokens.rotate(self.served.conn, row, successor, proof)
        return successor


NUMBERS = count(1)


@pytest.fixture
async def joined(served: Served, tmp_path: Path) -> AsyncIterator[Joined]:
    made = await served.api.post("/workstations", json={"name": f"saw-{next(NUMBERS)}"})
    home = Home(tmp_path / "saw")
    await joining.join(home, served.url, made.json()["token"])
    machine = Joined(served, home)
    yield machine
    machine.web.close()


async def test_a_key_gives_way_to_its_successor(joined: Joined) -> None:
    before = joined.key()
    mark = await keys.rotate(joined.home, joined.config)
    assert joined.key() == await joined.known() != before
    assert mark == identity.fingerprint(joined.key())
    assert not joined.home.next_key.exists()
    assert joined.home.key.stat().st_mode & 0o777 == 0o600
    await joined.tokens().get()


async def test_an_agent_whose_answer_was_lost_finds_that_the_successor_counts(
    joined: Joined,
) -> None:
    successor = await joined.served_but_not_answered()
    assert joined.key() != successor
    await joined.tokens().get()
    assert joined.key() == successor == await joined.known()
    assert not joined.home.next_key.exists()


async def test_a_change_that_was_not_answered_is_made_again_though_it_was_made(
    joined: Joined,
) -> None:
    lost = await joined.served_but_not_answered()
    await keys.rotate(joined.home, joined.config)
    assert joined.key() == await joined.known() != lost


async def test_a_change_that_never_reached_the_server_leaves_the_old_key_good(
    joined: Joined,
) -> None:
    before, successor = joined.key(), identity.public(KeyRing(joined.home).successor())
    await joined.tokens().get()
    assert joined.key() == before == await joined.known()
    await keys.rotate(joined.home, joined.config)
    assert joined.key() == successor == await joined.known()


@pytest.mark.parametrize("left", [b"", b"-----BEGIN PRIVATE KEY-----\n"])
async def test_a_successor_that_was_not_written_whole_is_made_anew(
    joined: Joined, left: bytes
) -> None:
    joined.home.next_key.write_bytes(left)
    joined.home.next_key.chmod(0o600)
    await joined.tokens().get()
    await keys.rotate(joined.home, joined.config)
    assert joined.key() == await joined.known()


async def test_an_agent_that_runs_takes_up_the_key_that_a_command_has_changed(
    joined: Joined,
) -> None:
    running = joined.tokens()
    before = await running.get()
    await keys.rotate(joined.home, joined.config)
    running.forget()
    assert await running.get() != before
    assert running.ring.public == joined.key()
    nonce_of_a_peer = running.ring.sign("press-1", "nonce")
    identity.check_proof(joined.key(), "press-1", "nonce", nonce_of_a_peer)


async def test_a_workstation_that_was_revoked_keeps_its_key_and_is_told_why(
    joined: Joined,
) -> None:
    before = joined.key()
    await joined.served.api.post(f"/workstations/{joined.config.name}/revoke")
    with pytest.raises(Unanswered, match="revoked by"):
        await keys.rotate(joined.home, joined.config)
    assert joined.key() == before
    assert not joined.home.next_key.exists()


async def test_a_successor_that_is_nobodys_lets_nobody_in(joined: Joined) -> None:
    KeyRing(joined.home).successor()
    stranger = identity.public(identity.make_key(joined.home.path / "stranger"))
    await joined.served.conn.execute(
        "update workstations set public_key = %s where name = %s", [stranger, joined.config.name]
    )
    before = joined.key()
    with pytest.raises(Unanswered, match="does not prove"):
        await joined.tokens().get()
    assert joined.key() == before
    assert joined.home.next_key.exists()
