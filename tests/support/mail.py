"""A mail server that takes what it is sent, as RFC 5321 has it: in the clear, over TLS from the
first byte, or from STARTTLS on; and a certificate that only its own authority vouches for."""

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass
class Mailbox:
    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    refusals: int = 0  # so many are turned away first
    login: tuple[str, str] | None = None  # who may send, where not everybody may
    tls: ssl.SSLContext | None = None  # for STARTTLS
    said: list[str] = field(default_factory=list)  # commands, and whether they were encrypted

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self.converse(reader, writer)
        except (ConnectionError, ssl.SSLError, asyncio.IncompleteReadError):
            pass  # whoever hangs up does not trust us
        finally:
            writer.close()

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        is_known = self.login is None
        writer.write(b"220 here\r\n")
        while line := await reader.readline():
            word = line.split()[0].upper()
            self.said.append(f"{word.decode()}{' sealed' if is_sealed(writer) else ''}")
            match word:
                case b"QUIT":
                    writer.write(b"221 bye\r\n")
                    break
                case b"EHLO":
                    writer.write(self.offers(is_sealed(writer)))
                case b"STARTTLS" if self.tls is not None:
                    writer.write(b"220 go on\r\n")
                    await writer.start_tls(self.tls)
                case b"AUTH":
                    is_known = self.is_right(line)
                    writer.write(b"235 welcome\r\n" if is_known else b"535 who are you?\r\n")
                case b"MAIL" if not is_known:
                    writer.write(b"530 say who you are\r\n")
                case b"MAIL" if self.refusals:
                    self.refusals -= 1
                    writer.write(b"451 not now\r\n")
                case b"DATA":
                    writer.write(b"354 go on\r\n")
                    self.take(await reader.readuntil(b"\r\n.\r\n"))
                    writer.write(b"250 taken\r\n")
                case _:
                    writer.write(b"250 ok\r\n")

    def offers(self, sealed: bool) -> bytes:
        lines = [b"here"]
        if self.tls is not None and not sealed:
            lines.append(b"STARTTLS")
        if self.login is not None and (sealed or self.tls is None):
            lines.append(b"AUTH PLAIN")
        return b"".join(b"250-%b\r\n" % each for each in lines[:-1]) + b"250 %b\r\n" % lines[-1]

    def is_right(self, line: bytes) -> bool:
        _, user, password = base64.b64decode(line.split()[2]).decode().split("\0")
        return (user, password) == self.login

    def take(self, data: bytes) -> None:
        found = message_from_bytes(data[:-5], policy=policy.default)
        assert isinstance(found, EmailMessage)
        self.mails.append(found)


def is_sealed(writer: asyncio.StreamWriter) -> bool:
    return writer.get_extra_info("ssl_object") is not None


@asynccontextmanager
async def a_mail_server(
    *, tls: ssl.SSLContext | None = None, starttls: ssl.SSLContext | None = None
) -> AsyncIterator[Mailbox]:
    box = Mailbox(tls=starttls)
    server = await asyncio.start_server(box.talk, "127.0.0.1", 0, ssl=tls)
    box.port = server.sockets[0].getsockname()[1]
    async with server:
        yield box


@dataclass(frozen=True)
class Vouched:
    """A server's side of TLS, and the file by which others trust it."""

    context: ssl.SSLContext
    authority: Path


def vouched_for(folder: Path, address: str = "127.0.0.1") -> Vouched:
    """A certificate for an address, made just now by an authority that nobody else knows."""
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority of a test")])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail of a test")])
    authority = (
        certificate(issuer, authority_key, issuer)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage(is_authority=True), critical=True)
        .add_extension(
            x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key()), critical=False
        )
        .sign(authority_key, hashes.SHA256())
    )
    own = (
        certificate(subject, key, issuer)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))]), critical=False
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()),
            critical=False,
        )
        .sign(authority_key, hashes.SHA256())
    )
    (folder / "ca.pem").write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (folder / "mail.pem").write_bytes(secret + own.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "mail.pem")
    return Vouched(context, folder / "ca.pem")


def certificate(
    subject: x509.Name, key: ec.EllipticCurvePrivateKey, issuer: x509.Name
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
    )


def usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
