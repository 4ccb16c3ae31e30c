"""How machines become workstations, and how they prove who they are."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from psycopg import AsyncConnection

from edge import identity
from edge.identity import Grant, at_server
from scheduler.domain.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    Refusal,
    TooMany,
    Unauthenticated,
    Unavailable,
)
from scheduler.services import enrolment, secrets, signing, station_tokens, workstations
from scheduler.services.keyring import Keys
from scheduler.services.tries import SHARED
from scheduler.settings import SignInSettings
from scheduler.store.station_access import Invitation
from tests.support.stations import HOME, KEYS, SETTINGS, AMachine, a_workstation, invited
from tests.support.waiting import patience

pytestmark = pytest.mark.anyio

Conn = AsyncConnection[Any]


@pytest.fixture
async def conn(dsn: str) -> Any:
    async with await AsyncConnection.connect(dsn, autocommit=True) as conn:
        yield conn


async def value(conn: Conn, query: str, *args: Any) -> Any:
    row = await (await conn.execute(query, args)).fetchone()
    assert row is not None
    return row[0]


# Invitations.


async def test_a_machine_joins_with_the_word_and_gets_a_token_for_its_key(conn: Conn) -> None:
    machine = AMachine()
    token = await invited(conn, name="saw-1", labels={"line": "2"})
    answer = await machine.join(conn, token)
    assert (answer.name, answer.state) == ("saw-1", "ACCEPTED")
    assert answer.fingerprint == identity.fingerprint(machine.public_key)
    given = await machine.token(conn, "saw-1")
    row = await workstations.authenticated(conn, KEYS, given.token, "saw-1")
    assert (row["name"], row["labels"]) == ("saw-1", {"line": "2"})
    assert "sealed" not in row


async def test_of_the_word_nothing_but_its_digest_is_kept(conn: Conn) -> None:
    token = await invited(conn, name="saw-1")
    stored = await value(conn, "select row_to_json(i)::text from workstation_invitations i")
    assert token not in stored
    assert token.removeprefix(enrolment.WORD) not in stored


async def test_a_word_lets_as_many_machines_in_as_it_says(conn: Conn) -> None:
    token = await invited(conn, uses=2)
    assert (await AMachine("Saw-1.hall.example").join(conn, token)).name == "saw-1"
    assert (await AMachine("saw-2").join(conn, token)).name == "saw-2"
    with pytest.raises(Forbidden, match="used already"):
        await AMachine("saw-3").join(conn, token)


async def test_of_many_machines_at_once_with_one_word_one_gets_in(dsn: str, conn: Conn) -> None:
    token = await invited(conn)

    async def come(number: int) -> str:
        async with await AsyncConnection.connect(dsn, autocommit=True) as own:
            try:
                return (await AMachine(f"saw-{number}").join(own, token)).state
            except Forbidden:
                return "refused"

    answers = await asyncio.gather(*(come(number) for number in range(8)))
    assert sorted(answers) == ["ACCEPTED"] + ["refused"] * 7
    assert await value(conn, "select count(*) from workstations") == 1


async def test_a_machine_whose_answer_was_lost_asks_again_and_is_answered_the_same(
    conn: Conn,
) -> None:
    machine, token = AMachine(), await invited(conn, approve=True)
    first = await machine.join(conn, token)
    assert await machine.join(conn, token) == first
    await workstations.accept(conn, first.name, by="anna")
    assert (await machine.join(conn, token)).state == "ACCEPTED"
    assert await value(conn, "select count(*) from workstations") == 1
    with pytest.raises(Forbidden, match="used already"):
        await AMachine("saw-2").join(conn, token)


async def test_the_answer_that_was_lost_is_told_though_the_word_is_over_meanwhile(
    conn: Conn,
) -> None:
    machine, token = AMachine(), await invited(conn)
    first = await machine.join(conn, token)
    await conn.execute("update workstation_invitations set expires_at = clock_timestamp()")
    assert await machine.join(conn, token) == first


async def test_a_word_that_is_over_lets_nobody_in(conn: Conn) -> None:
    token = await invited(conn)
    await conn.execute("update workstation_invitations set expires_at = clock_timestamp()")
    with pytest.raises(Forbidden, match="expired") as refused:
        await AMachine().join(conn, token)
    assert "procession workstation add" in (refused.value.remedy or "")
    with pytest.raises(Forbidden, match="not known"):
        await AMachine().join(conn, token + "A")


async def test_a_word_that_was_taken_back_lets_nobody_in(conn: Conn) -> None:
    made = await enrolment.invite(conn, KEYS, Invitation(), by="anna")
    await enrolment.uninvite(conn, made.id)
    with pytest.raises(Forbidden, match="not known"):
        await AMachine().join(conn, made.token)
    with pytest.raises(NotFound):
        await enrolment.uninvite(conn, made.id)


@pytest.mark.parametrize(
    ("cidr", "source", "may"),
    [
        ("10.20.0.0/16", "10.20.3.4", True),
        ("10.20.0.0/16", "::ffff:10.20.3.4", True),
        ("10.20.0.0/16", "10.21.3.4", False),
        ("10.20.0.0/16", "unknown", False),
        ("2001:db8::/32", "2001:db8::7", True),
        ("fe80::/10", "fe80::7%eth0", True),
        ("2001:db8::/32", "10.20.3.4", False),
    ],
)
async def test_a_word_for_a_network_is_good_there_alone(
    conn: Conn, cidr: str, source: str, may: bool
) -> None:
    token = await invited(conn, cidr=cidr)
    if may:
        await AMachine().join(conn, token, source=source)
        return
    with pytest.raises(Forbidden, match="is for machines in"):
        await AMachine().join(conn, token, source=source)
    assert await value(conn, "select uses from workstation_invitations") == 1


async def test_a_word_for_a_name_is_good_for_that_name_alone(conn: Conn) -> None:
    token = await invited(conn, name="saw-1")
    with pytest.raises(Forbidden, match="for 'saw-1' alone"):
        await AMachine().join(conn, token, name="press-1")
    assert (await AMachine("some-host").join(conn, token)).name == "saw-1"


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"length": timedelta(hours=25)}, "expires"),
        ({"length": timedelta(seconds=5)}, "expires"),
        ({"uses": 0}, "count"),
        ({"uses": 1001}, "count"),
        ({"name": "saw-1", "uses": 2}, "count"),
        ({"name": "Saw 1"}, "name"),
        ({"name": "any"}, "name"),
        ({"replaces": True}, "name"),
        ({"labels": {"line": "2,3"}}, "labels"),
        ({"cidr": "10.20.0.1/16"}, "cidr"),
        ({"cidr": "hall 7"}, "cidr"),
    ],
)
async def test_an_invitation_that_makes_no_sense_is_not_made(
    conn: Conn, wish: dict[str, Any], field: str
) -> None:
    with pytest.raises(Invalid) as refused:
        await invited(conn, **wish)
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("hostname", "name"),
    [("münchen", "m-nchen"), ("7", "7"), ("A" * 200, "a" * 63), ("Saw_1.hall.example", "saw_1")],
)
async def test_a_host_lends_its_name_as_far_as_it_can_be_a_workstations(
    conn: Conn, hostname: str, name: str
) -> None:
    assert (await AMachine(hostname).join(conn, await invited(conn))).name == name


@pytest.mark.parametrize("hostname", ["server", "any", "---", ".example"])
async def test_a_machine_whose_host_cannot_lend_its_name_is_told_to_say_one(
    conn: Conn, hostname: str
) -> None:
    token = await invited(conn)
    with pytest.raises(Invalid) as refused:
        await AMachine(hostname).join(conn, token)
    assert refused.value.field == "name"
    assert "--name" in (refused.value.remedy or "")
    assert (await AMachine(hostname).join(conn, token, name="saw-1")).name == "saw-1"


@pytest.mark.parametrize("field", ["public_key", "sealing_key"])
@pytest.mark.parametrize("given", ["", "no key", "A" * 42, "é" * 43])
async def test_a_machine_without_proper_keys_is_not_let_in(
    conn: Conn, field: str, given: str
) -> None:
    token = await invited(conn)
    with pytest.raises(Invalid) as refused:
        await AMachine().join(conn, token, **{field: given})
    assert refused.value.field == field
    assert await value(conn, "select uses from workstation_invitations") == 1


async def test_a_name_is_given_once_unless_the_invitation_says_that_it_replaces(
    conn: Conn,
) -> None:
    old = await a_workstation(conn, labels={"line": "2"})
    token = (await old.token(conn, "saw-1")).token
    with pytest.raises(Conflict, match="already") as refused:
        await invited(conn, name="saw-1")
    assert "--replace" in (refused.value.remedy or "")
    with pytest.raises(Conflict, match="already"):
        await AMachine("saw-1").join(conn, await invited(conn))
    before = await value(conn, "select id from workstations")
    new = AMachine()
    await new.join(conn, await invited(conn, name="saw-1", replaces=True, labels={"hall": "7"}))
    row = await workstations.get(conn, "saw-1")
    assert (row["id"], row["labels"]) == (before, {"line": "2", "hall": "7"})
    with pytest.raises(Unauthenticated):
        await workstations.authenticated(conn, KEYS, token, "saw-1")
    with pytest.raises(Unauthenticated):
        await old.token(conn, "saw-1")
    given = await new.token(conn, "saw-1")
    await workstations.authenticated(conn, KEYS, given.token, "saw-1")


async def test_a_copied_disk_does_not_become_another_workstation(conn: Conn) -> None:
    machine = await a_workstation(conn)
    clone = replace(machine, hostname="saw-2")
    token = await invited(conn, name="saw-2")
    with pytest.raises(Conflict, match="that of the workstation 'saw-1'") as refused:
        await clone.join(conn, token)
    assert "key.pem" in (refused.value.remedy or "")
    assert await value(conn, "select uses from workstation_invitations where name = 'saw-2'") == 1


async def test_whoever_tries_words_too_often_has_to_wait_and_machines_that_get_in_do_not_count(
    conn: Conn,
) -> None:
    few = SignInSettings(tries_of_address=1)
    token = await invited(conn, uses=2 * SHARED)
    for number in range(SHARED + 1):
        machine = enrolment.Machine(**AMachine(f"saw-{number}").body(token))
        await enrolment.enrol(conn, KEYS, machine, source=HOME, settings=few)
    wrong = enrolment.Machine(**AMachine().body("pn_join_wrong"))
    for _ in range(SHARED):
        with pytest.raises(Forbidden):
            await enrolment.enrol(conn, KEYS, wrong, source=HOME, settings=few)
    with pytest.raises(TooMany):
        await enrolment.enrol(conn, KEYS, wrong, source=HOME, settings=few)
    with pytest.raises(Forbidden):
        await enrolment.enrol(conn, KEYS, wrong, source="192.0.2.8", settings=few)


# Acceptance.


async def test_a_machine_that_waits_to_be_accepted_gets_no_token_and_is_told_its_fingerprint(
    conn: Conn,
) -> None:
    machine = await a_workstation(conn, approve=True)
    with pytest.raises(Conflict, match="waits") as refused:
        await machine.token(conn, "saw-1")
    assert identity.fingerprint(machine.public_key) in (refused.value.remedy or "")
    shown = await workstations.get(conn, "saw-1")
    assert shown["fingerprint"] == identity.fingerprint(machine.public_key)
    with pytest.raises(Conflict, match="has the fingerprint"):
        await workstations.accept(conn, "saw-1", "0000:" * 7 + "0000", by="anna")
    await workstations.accept(conn, "saw-1", shown["fingerprint"], by="anna")
    await machine.token(conn, "saw-1")


# Nonces and proofs.


async def test_a_nonce_that_was_signed_is_good_once(conn: Conn) -> None:
    machine = await a_workstation(conn)
    nonce, proof = await machine.prove(conn, "saw-1")
    await asked(conn, "saw-1", nonce, proof)
    with pytest.raises(Unauthenticated, match="used already"):
        await asked(conn, "saw-1", nonce, proof)


async def asked(conn: Conn, name: str, nonce: str, proof: str) -> station_tokens.Given:
    return await station_tokens.token(
        conn, KEYS, name, nonce, proof, source=HOME, settings=SETTINGS
    )


async def test_nothing_is_kept_of_nonces_that_strangers_ask_for(conn: Conn) -> None:
    machine = await a_workstation(conn)
    for name in ("saw-1", "nobody"):
        nonce, proof = await AMachine(server_key=machine.server_key).prove(conn, name)
        with pytest.raises(Unauthenticated):
            await asked(conn, name, nonce, proof)
    assert await value(conn, "select count(*) from workstation_nonces") == 0


async def test_nonces_that_are_over_by_every_servers_clock_go_with_the_next(conn: Conn) -> None:
    machine = await a_workstation(conn)
    await machine.token(conn, "saw-1")
    over = "update workstation_nonces set expires_at = clock_timestamp() - interval '%s'"
    await conn.execute(over % "5 minutes")
    await machine.token(conn, "saw-1")
    assert await value(conn, "select count(*) from workstation_nonces") == 2
    await conn.execute(over % "1 hour")
    await machine.token(conn, "saw-1")
    assert await value(conn, "select count(*) from workstation_nonces") == 1


async def test_a_proof_is_good_for_one_workstation_one_server_and_its_nonces_alone(
    conn: Conn,
) -> None:
    saw, press = await a_workstation(conn), await a_workstation(conn, "press-1")
    nonce, proof = await saw.prove(conn, "saw-1")
    other, _ = await saw.prove(conn, "press-1")
    own = identity.told(bytes(40))
    elsewhere = identity.prove(saw.key, at_server(press.public_key), nonce)
    forged = identity.prove(press.key, at_server(saw.server_key), nonce)
    signed = identity.prove(saw.key, at_server(saw.server_key), other)
    for name, given, shown in (
        ("saw-1", nonce, elsewhere),
        ("saw-1", nonce, forged),
        ("saw-1", nonce, ""),
        ("saw-1", nonce, proof + "="),
        ("saw-1", nonce[:-1] + ("A" if nonce[-1] != "A" else "B"), proof),
        ("saw-1", "", proof),
        ("saw-1", "é", proof),
        ("saw-1", other, signed),
        ("saw-1", own, identity.prove(saw.key, at_server(saw.server_key), own)),
        ("press-1", nonce, proof),
        ("nobody", nonce, proof),
    ):
        with pytest.raises(Unauthenticated, match="does not prove"):
            await asked(conn, name, given, shown)
    await asked(conn, "saw-1", nonce, proof)


async def test_a_nonce_is_too_old_after_a_minute(conn: Conn) -> None:
    key = await signing.key(conn, KEYS)
    nonce, until = await station_tokens.nonce(conn, KEYS, "saw-1", source=HOME, settings=SETTINGS)
    over = until.timestamp() + identity.SLACK  # servers' clocks may differ
    station_tokens.check_nonce(key, "saw-1", nonce, over)
    with pytest.raises(identity.BadProof, match="too old"):
        station_tokens.check_nonce(key, "saw-1", nonce, over + 1)


async def test_one_workstation_that_fails_does_not_shut_its_neighbours_out(conn: Conn) -> None:
    saw, press = await a_workstation(conn), await a_workstation(conn, "press-1")
    few = SignInSettings(tries_of_address=1)

    async def ask(machine: AMachine, name: str, server_key: str) -> station_tokens.Given:
        nonce, _ = await machine.prove(conn, name)
        proof = identity.prove(machine.key, at_server(server_key), nonce)
        return await station_tokens.token(conn, KEYS, name, nonce, proof, source=HOME, settings=few)

    for _ in range(SHARED):
        with pytest.raises(Unauthenticated):
            await ask(saw, "saw-1", saw.public_key)
    with pytest.raises(TooMany):
        await ask(saw, "saw-1", saw.public_key)
    await ask(press, "press-1", press.server_key)
    # Nor do those that are not there any more.
    await workstations.remove(conn, "saw-1")
    for _ in range(SHARED):
        with pytest.raises(Unauthenticated):
            await ask(saw, "saw-1", saw.server_key)
    with pytest.raises(TooMany):
        await ask(saw, "saw-1", saw.server_key)
    machine = enrolment.Machine(**AMachine("saw-2").body(await invited(conn)))
    await enrolment.enrol(conn, KEYS, machine, source=HOME, settings=few)


# Tokens.


async def test_a_token_is_good_for_its_own_workstation_alone(conn: Conn) -> None:
    saw, _ = await a_workstation(conn), await a_workstation(conn, "press-1")
    token = (await saw.token(conn, "saw-1")).token
    for name in ("press-1", "nobody"):
        with pytest.raises(Forbidden, match="of 'saw-1'"):
            await workstations.authenticated(conn, KEYS, token, name)


async def test_a_token_that_nobody_here_has_signed_or_that_is_over_is_refused(conn: Conn) -> None:
    saw = await a_workstation(conn)
    key, audience = await signing.key(conn, KEYS), at_server(saw.server_key)
    good = Grant("saw-1", audience, 4e9, key=saw.public_key)
    await workstations.authenticated(conn, KEYS, identity.issue(key, good), "saw-1")
    for signer, grant in (
        (Ed25519PrivateKey.generate(), good),
        (saw.key, good),
        (key, replace(good, until=1.0)),
        (key, replace(good, audience="press-1")),
        (key, replace(good, audience="")),
        (key, replace(good, key="")),
        (key, replace(good, key=identity.public(Ed25519PrivateKey.generate()))),
    ):
        with pytest.raises(Unauthenticated):
            await workstations.authenticated(conn, KEYS, identity.issue(signer, grant), "saw-1")


@pytest.mark.parametrize("end", ["revoke", "remove", "rotate"])
async def test_a_token_is_worthless_as_soon_as_its_key_counts_no_more(conn: Conn, end: str) -> None:
    saw = await a_workstation(conn)
    token = (await saw.token(conn, "saw-1")).token
    row = await workstations.authenticated(conn, KEYS, token, "saw-1")
    if end == "revoke":
        await workstations.revoke(conn, "saw-1", by="anna")
        with pytest.raises(Forbidden, match="revoked by anna"):
            await saw.token(conn, "saw-1")
    elif end == "remove":
        await workstations.remove(conn, "saw-1")
    else:
        successor = AMachine().public_key
        await station_tokens.rotate(conn, row, successor, identity.hand_over(saw.key, successor))
    with pytest.raises(Unauthenticated):
        await workstations.authenticated(conn, KEYS, token, "saw-1")


async def test_whoever_serves_a_workstation_hears_that_it_may_no_longer(
    dsn: str, conn: Conn
) -> None:
    saw = await a_workstation(conn)
    id = await value(conn, "select id from workstations")
    async with await AsyncConnection.connect(dsn, autocommit=True) as listening:
        await listening.execute("listen procession")
        await workstations.revoke(conn, "saw-1", by="anna")
        await workstations.remove(conn, "saw-1")
        heard = 0
        async for each in listening.notifies(timeout=patience(30)):
            heard += f'"workstation:{id}"' in each.payload
            if heard == 2:
                break
    assert heard == 2
    assert saw.server_key


# Keys.


async def test_a_key_hands_over_to_the_next_though_an_answer_was_lost(conn: Conn) -> None:
    old = await a_workstation(conn)
    new = replace(old, key=Ed25519PrivateKey.generate())
    token = (await old.token(conn, "saw-1")).token
    row = await workstations.authenticated(conn, KEYS, token, "saw-1")
    proof = identity.hand_over(old.key, new.public_key)
    await station_tokens.rotate(conn, row, new.public_key, proof)
    # The answer was lost: the machine has both keys, and tries the old one first.
    with pytest.raises(Unauthenticated):
        await old.token(conn, "saw-1")
    token = (await new.token(conn, "saw-1")).token
    row = await workstations.authenticated(conn, KEYS, token, "saw-1")
    said = await station_tokens.rotate(conn, row, new.public_key, proof)
    assert said == identity.fingerprint(new.public_key)


async def test_a_key_that_did_not_get_through_leaves_the_old_one_good(conn: Conn) -> None:
    saw = await a_workstation(conn)
    row = await workstations.authenticated(
        conn, KEYS, (await saw.token(conn, "saw-1")).token, "saw-1"
    )
    successor, thief = AMachine(), AMachine()
    for next_key, proof in (
        (successor.public_key, identity.hand_over(thief.key, successor.public_key)),
        (successor.public_key, identity.hand_over(saw.key, thief.public_key)),
        (successor.public_key, identity.prove(saw.key, "", successor.public_key)),
        (successor.public_key, ""),
        ("no key", identity.hand_over(saw.key, "no key")),
    ):
        with pytest.raises(Invalid):
            await station_tokens.rotate(conn, row, next_key, proof)
    press = await a_workstation(conn, "press-1")
    with pytest.raises(Conflict, match="another workstation's"):
        await station_tokens.rotate(
            conn, row, press.public_key, identity.hand_over(saw.key, press.public_key)
        )
    await saw.token(conn, "saw-1")


async def test_what_signs_is_made_once_and_kept_encrypted(dsn: str, conn: Conn) -> None:
    async def ask() -> str:
        async with await AsyncConnection.connect(dsn, autocommit=True) as own:
            return identity.public(await signing.key(own, KEYS))

    made = set(await asyncio.gather(*(ask() for _ in range(5))))
    assert made == {identity.public(await signing.key(conn, KEYS))}
    raw = (await signing.key(conn, KEYS)).private_bytes_raw()
    assert raw not in bytes(await value(conn, "select sealed from workstation_signing"))


async def test_what_signs_is_encrypted_anew_with_the_secrets_and_stays_the_same(
    conn: Conn,
) -> None:
    saw = await a_workstation(conn)
    token = (await saw.token(conn, "saw-1")).token
    fresh = "bmV3IGtleSBvZiB0ZXN0czogMzIgYnl0ZXMgb2YgaXQ="
    both = Keys(text=f"{fresh},{KEYS.text}")
    await workstations.authenticated(conn, both, token, "saw-1")
    known = {row["id"]: row["secrets"] for row in await secrets.all_keys(conn, both.load())}
    assert known[KEYS.load().current.id] == 1
    assert await secrets.rotate(conn, both.load()) == 1
    assert await secrets.rotate(conn, both.load()) == 0
    alone = Keys(text=fresh)
    await workstations.authenticated(conn, alone, token, "saw-1")
    with pytest.raises(Unavailable, match="not in"):
        await workstations.authenticated(conn, KEYS, token, "saw-1")


async def test_without_a_key_for_secrets_nobody_is_invited_and_the_remedy_is_told(
    conn: Conn,
) -> None:
    with pytest.raises(Unavailable) as refused:
        await enrolment.invite(conn, Keys(text=""), Invitation(), by="anna")
    assert refused.value.remedy


async def test_a_public_key_that_somebody_wrote_into_the_database_is_believed_by_nobody(
    conn: Conn,
) -> None:
    saw, forger = await a_workstation(conn), Ed25519PrivateKey.generate()
    mine = identity.public(forger)
    await conn.execute("update workstation_signing set public_key = %s", [mine])
    grant = Grant("saw-1", at_server(mine), 4e9, key=saw.public_key)
    with pytest.raises(Unauthenticated):
        await workstations.authenticated(conn, KEYS, identity.issue(forger, grant), "saw-1")


# Peers.


async def test_nothing_is_granted_towards_a_peer_that_nobody_has_allowed(conn: Conn) -> None:
    await a_workstation(conn)
    await a_workstation(conn, "press-1")
    saw = await workstations.get(conn, "saw-1")
    with pytest.raises(Forbidden, match="may not start 'pressing'") as refused:
        await station_tokens.grant(conn, KEYS, saw, "press-1", ["pressing"])
    assert "procession workstation allow saw-1 press-1" in (refused.value.remedy or "")
    saw = await workstations.change(conn, "saw-1", {"peers": {"press-1": ["pressing"]}})
    given = await station_tokens.grant(conn, KEYS, saw, "press-1", ["pressing"])
    grant = identity.accept(given.server_key, given.token, "press-1", 0.0)
    assert (grant.station, grant.types, grant.key) == ("saw-1", ("pressing",), saw["public_key"])
    assert grant.until - grant.since == 24 * 3600
    shorter = (conn, KEYS, saw, "press-1", ["pressing"], timedelta(minutes=5))
    given = await station_tokens.grant(*shorter)
    grant = identity.accept(given.server_key, given.token, "press-1", 0.0)
    assert grant.until - grant.since == 300
    for peer, types in (("press-1", ["other"]), ("press-1", ["*"]), ("saw-9", ["pressing"])):
        with pytest.raises(Refusal):
            await station_tokens.grant(conn, KEYS, saw, peer, types)


async def test_no_more_types_are_allowed_than_a_token_can_name(conn: Conn) -> None:
    await a_workstation(conn)
    many = [f"type-{number}" for number in range(20)]
    await workstations.change(conn, "saw-1", {"peers": {"*": many}})
    others = [f"other-{number}" for number in range(20)]
    with pytest.raises(Invalid, match="at most 30 types"):
        await workstations.change(conn, "saw-1", {"peers": {"press-1": others}})


async def test_what_was_granted_towards_a_peer_is_no_token_here(conn: Conn) -> None:
    await a_workstation(conn)
    await a_workstation(conn, "press-1")
    saw = await workstations.change(conn, "saw-1", {"peers": {"*": ["*"]}})
    given = await station_tokens.grant(conn, KEYS, saw, "press-1", ["pressing"])
    for name in ("saw-1", "press-1"):
        with pytest.raises((Unauthenticated, Forbidden)):
            await workstations.authenticated(conn, KEYS, given.token, name)


# What people do.


async def test_draining_remembers_why_and_tells_the_workstation_the_newest_word(
    conn: Conn,
) -> None:
    await a_workstation(conn)
    row = await workstations.drain(conn, "saw-1", "the blade is worn", by="anna")
    assert (row["draining"], row["drain_reason"], row["drained_by"]) == (
        True,
        "the blade is worn",
        "anna",
    )
    row = await workstations.undrain(conn, "saw-1", by="bert")
    assert (row["draining"], row["drain_reason"]) == (False, None)
    open_ = await conn.execute("select verb from workstation_commands where done_at is null")
    assert await open_.fetchall() == [("undrain",)]
    with pytest.raises(Invalid, match="say why"):
        await workstations.drain(conn, "saw-1", " ", by="anna")


async def test_an_edit_of_something_that_was_changed_meanwhile_is_refused(conn: Conn) -> None:
    await a_workstation(conn, labels={"line": "2"})
    seen = (await workstations.get(conn, "saw-1"))["edition"]
    changed = await workstations.change(
        conn, "saw-1", {"labels": {"line": None, "hall": "7"}}, expected=seen
    )
    assert changed["labels"] == {"hall": "7"}
    with pytest.raises(workstations.Outdated):
        await workstations.change(conn, "saw-1", {"note": "old"}, expected=seen)


async def test_a_workstation_that_is_to_be_called_needs_an_address(conn: Conn) -> None:
    await a_workstation(conn)
    with pytest.raises(Invalid, match="needs an address"):
        await workstations.change(conn, "saw-1", {"is_dialled": True})
    row = await workstations.change(
        conn, "saw-1", {"is_dialled": True, "address": "wss://saw-1:8443"}
    )
    assert row["is_dialled"]


async def test_a_workstation_with_work_in_hand_is_not_removed(conn: Conn) -> None:
    await a_workstation(conn)
    await conn.execute(
        "insert into workstation_hands (workstation, task_id, attempt, run_id)"
        " select id, 1, 1, gen_random_uuid() from workstations"
    )
    with pytest.raises(Conflict, match="1 attempts in hand"):
        await workstations.remove(conn, "saw-1")
    await conn.execute("update workstation_hands set stage = 'OVER'")
    await workstations.remove(conn, "saw-1")
    with pytest.raises(NotFound, match="no workstation 'saw-1'"):
        await workstations.get(conn, "saw-1")
