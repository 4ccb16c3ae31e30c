"""A mail server that takes what it is sent, as RFC 5321 has it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage


@dataclass
class Mailbox:
    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    refusals: int = 0  # so many are turned away first

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 here\r\n")
        while line := await reader.readline():
            match line.split()[0].upper():
                case b"QUIT":
                    writer.write(b"221 bye\r\n")
                    break
                case b"MAIL" if self.refusals:
                    self.refusals -= 1
                    writer.write(b"451 not now\r\n")
                case b"DATA":
                    writer.write(b"354 go on\r\n")
                    data = await reader.readuntil(b"\r\n.\r\n")
                    found = message_from_bytes(data[:-5], policy=policy.default)
                    assert isinstance(found, EmailMessage)
                    self.mails.append(found)
                    writer.write(b"250 taken\r\n")
                case _:
                    writer.write(b"250 ok\r\n")
        writer.close()


@asynccontextmanager
async def a_mail_server() -> AsyncIterator[Mailbox]:
    box = Mailbox()
    server = await asyncio.start_server(box.talk, "127.0.0.1", 0)
    box.port = server.sockets[0].getsockname()[1]
    async with server:
        yield box
