"""Who calls and who is called prove themselves, with no server at hand."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge import identity, knocking
from edge.identity import Grant
from edge.knocking import Caller, Door, Reason, Refused, Visitor

NOW = 1_000_000.0
CERTIFICATE = "c" * 64
GRANT = Grant("saw", "press", NOW + 60, types=("press",))


def key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


@dataclass
class Meeting:
    """SAW calls PRESS. Each thing may be another than it should be."""

    server: Ed25519PrivateKey = field(default_factory=key)
    saw: Ed25519PrivateKey = field(default_factory=key)
    press: Ed25519PrivateKey = field(default_factory=key)
    signs: Ed25519PrivateKey | None = None  # the token; else the server
    caller: Ed25519PrivateKey | None = None  # who calls; else the saw
    called: Ed25519PrivateKey | None = None  # what answers; else the press
    grant: Grant = GRANT
    seen: str = CERTIFICATE  # by the caller
    token: str | None = None

    def door(self) -> Door:
        sign = knocking.signer(self.called or self.press)
        known = identity.public(self.server)
        return Door("press", "L", sign, known, nonce="d" * 32, binding=CERTIFICATE)

    def calls(self) -> Caller:
        grant = replace(self.grant, key=self.grant.key or identity.public(self.saw))
        token = self.token or identity.issue(self.signs or self.server, grant)
        return Caller(
            knocking.signer(self.caller or self.saw),
            "saw",
            token,
            name="press",
            key=identity.public(self.press),
            nonce="c" * 32,
            binding=self.seen,
        )

    def hold(self) -> Visitor:
        door, caller = self.door(), self.calls()
        return door.proven(caller.opened(door.knock(caller.knock(), NOW)))


def test_two_that_prove_themselves_know_each_other() -> None:
    visitor = Meeting().hold()
    assert (visitor.grant.station, visitor.grant.types) == ("saw", ("press",))
    assert not visitor.is_expired


def test_whoever_comes_too_late_is_known_all_the_same() -> None:
    assert Meeting(grant=Grant("saw", "press", NOW - 60, types=("press",))).hold().is_expired


def test_what_the_caller_learns_is_the_book_that_it_talks_to() -> None:
    meeting = Meeting()
    door, caller = meeting.door(), meeting.calls()
    caller.opened(door.knock(caller.knock(), NOW))
    assert caller.lineage == "L"


WRONG: dict[str, tuple[Callable[[], Meeting], Reason, str]] = {
    "a token of another server": (lambda: Meeting(signs=key()), Reason.TOKEN, "has not signed it"),
    "a token for another": (
        lambda: Meeting(grant=Grant("saw", "oven", NOW + 60)),
        Reason.AUDIENCE,
        "for 'oven', and this is 'press'",
    ),
    "a stolen token": (lambda: Meeting(caller=key()), Reason.KEY, "does not have the key of 'saw'"),
    "another machine at the address": (
        lambda: Meeting(called=key()),
        Reason.KEY,
        "what answers does not have the key of 'press'",
    ),
    "somebody between the two": (
        lambda: Meeting(seen="x" * 64),
        Reason.KEY,
        "what answers does not have the key of 'press'",
    ),
    "no token": (lambda: Meeting(token="hello"), Reason.TOKEN, "no token of a workstation"),
    "a token without its half": (
        lambda: Meeting(token=f"{identity.PREFIX}e30"),
        Reason.TOKEN,
        "not signed",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_whoever_proves_nothing_is_sent_away_and_told_why(wrong: str) -> None:
    meeting, reason, why = WRONG[wrong]
    with pytest.raises(Refused, match=why) as refused:
        meeting().hold()
    assert refused.value.reason is reason


def test_a_token_that_names_no_key_lets_nobody_in() -> None:
    meeting = Meeting()
    token = identity.issue(meeting.server, Grant("saw", "press", NOW + 60))
    with pytest.raises(Refused, match="names no key"):
        replace(meeting, token=token).hold()


def test_what_one_signs_as_the_called_does_not_pass_for_a_caller() -> None:
    """Whoever has both tokens and neither key makes the one sign what it shows the other."""
    saw, press, server = key(), key(), key()
    at_saw = Door(
        "saw", "L", knocking.signer(saw), identity.public(server), nonce="d" * 32, binding=""
    )
    for_press = Grant("saw", "press", NOW + 60, key=identity.public(saw))
    for_saw = Grant("press", "saw", NOW + 60, key=identity.public(press))
    at_press = Door(
        "press", "L", knocking.signer(press), identity.public(server), nonce="e" * 32, binding=""
    )
    knock = knocking.Knock(1, 1, identity.issue(server, for_press), "f" * 32)
    opened = json.loads(at_press.knock(knocking.WORDS.write(knock), NOW))
    passed_on = knocking.Knock(1, 1, identity.issue(server, for_saw), opened["nonce"])
    answer = json.loads(at_saw.knock(knocking.WORDS.write(passed_on), NOW))
    with pytest.raises(Refused, match="does not have the key of 'saw'"):
        at_press.proven(json.dumps({"type": "proof", "proof": answer["proof"]}))


FORMS = {
    "no JSON": "{",
    "a proof first": json.dumps({"type": "proof", "proof": "x"}),
    "an unknown word": json.dumps({"type": "dance"}),
    "a short nonce": json.dumps(
        {"type": "knock", "oldest": 1, "newest": 1, "token": "x", "nonce": "short"}
    ),
    "a version of tomorrow": json.dumps(
        {"type": "knock", "oldest": 7, "newest": 9, "token": "x", "nonce": "n" * 32}
    ),
    "too much": " " * (1 << 21),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_first_word_that_is_none_is_refused(form: str) -> None:
    with pytest.raises(Refused) as refused:
        Meeting().door().knock(FORMS[form], NOW)
    assert refused.value.reason in (Reason.FORM, Reason.VERSION)
    with pytest.raises(Refused, match=r".") as told:
        Meeting().calls().opened(knocking.away(refused.value))
    assert told.value.reason is refused.value.reason
