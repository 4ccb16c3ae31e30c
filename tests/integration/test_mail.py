"""Mail to a server that wants encryption and a password, over real connections."""

from email.message import EmailMessage
from pathlib import Path
from smtplib import SMTPAuthenticationError, SMTPNotSupportedError, SMTPSenderRefused
from ssl import SSLCertVerificationError
from typing import Any, Literal

import anyio.to_thread
import pytest
from pydantic import SecretStr

from scheduler.chores.notifications import send
from scheduler.settings import MailSettings
from tests.support.mail import Mailbox, Vouched, a_mail_server, vouched_for

pytestmark = pytest.mark.anyio

USER, PASSWORD = "procession", "a password of many letters"
Security = Literal["starttls", "tls", "none"]


@pytest.fixture
def vouched(tmp_path: Path) -> Vouched:
    return vouched_for(tmp_path)


def settings(box: Mailbox, security: Security, **more: Any) -> MailSettings:
    return MailSettings(
        host="127.0.0.1", port=box.port, sender="p@example.org", security=security, **more
    )


def as_user(password: str = PASSWORD) -> dict[str, Any]:
    return {"user": USER, "password": SecretStr(password)}


async def sent(box: Mailbox, security: Security, **more: Any) -> None:
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = "hello", "p@example.org", "a@example.org"
    message.set_content("how are you?")
    await anyio.to_thread.run_sync(send, settings(box, security, **more), message)


async def test_mail_goes_over_tls_from_the_first_byte_with_a_login(vouched: Vouched) -> None:
    async with a_mail_server(tls=vouched.context) as box:
        box.login = (USER, PASSWORD)
        await sent(box, "tls", ca_file=vouched.authority, **as_user())
        assert [mail["Subject"] for mail in box.mails] == ["hello"]
        assert all(word.endswith("sealed") for word in box.said)
        assert "AUTH sealed" in box.said


async def test_nothing_but_the_greeting_goes_in_the_clear_before_starttls(vouched: Vouched) -> None:
    async with a_mail_server(starttls=vouched.context) as box:
        box.login = (USER, PASSWORD)
        await sent(box, "starttls", ca_file=vouched.authority, **as_user())
        assert [mail["Subject"] for mail in box.mails] == ["hello"]
        assert [word for word in box.said if "sealed" not in word] == ["EHLO", "STARTTLS"]


@pytest.mark.parametrize("security", ["tls", "starttls"])
async def test_nobody_is_told_anything_whose_certificate_nobody_vouches_for(
    vouched: Vouched, security: Security
) -> None:
    """The password stays with us."""
    context = vouched.context
    at_once, later = (context, None) if security == "tls" else (None, context)
    async with a_mail_server(tls=at_once, starttls=later) as box:
        box.login = (USER, PASSWORD)
        with pytest.raises(SSLCertVerificationError):
            await sent(box, security, **as_user())
        assert box.mails == []
        assert not any(word.startswith("AUTH") for word in box.said)


async def test_a_certificate_for_another_address_is_not_taken(tmp_path: Path) -> None:
    vouched = vouched_for(tmp_path, "127.0.0.2")
    async with a_mail_server(tls=vouched.context) as box:
        with pytest.raises(SSLCertVerificationError):
            await sent(box, "tls", ca_file=vouched.authority, **as_user())
        assert box.said == []


async def test_a_server_that_offers_no_encryption_gets_no_password(vouched: Vouched) -> None:
    async with a_mail_server() as box:
        box.login = (USER, PASSWORD)
        with pytest.raises(SMTPNotSupportedError):
            await sent(box, "starttls", ca_file=vouched.authority, **as_user())
        assert not any(word.startswith("AUTH") for word in box.said)


async def test_a_wrong_password_is_told_and_nothing_is_sent(vouched: Vouched) -> None:
    async with a_mail_server(tls=vouched.context) as box:
        box.login = (USER, PASSWORD)
        with pytest.raises(SMTPAuthenticationError, match="who are you") as told:
            await sent(box, "tls", ca_file=vouched.authority, **as_user("another"))
        assert "another" not in str(told.value)
        with pytest.raises(SMTPSenderRefused, match="say who you are"):
            await sent(box, "tls", ca_file=vouched.authority)
        assert box.mails == []
