"""Stands before a server in a network of its own: TLS for workstations, and a way in for people.

`python edge_relay.py LISTENING_FD HOST TLS_PORT SERVER_PORT CERTIFICATE KEY`: people come by the
socket that was opened in the tests' own network. It ends with whoever started it.
"""

import asyncio
import socket
import ssl
import sys
from contextlib import suppress


async def main() -> None:
    listening, host, port, server, certificate, key = sys.argv[1:]
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, away = await asyncio.open_connection("127.0.0.1", int(server))
        except OSError:
            writer.transport.abort()
            return
        ways = [
            asyncio.create_task(pass_on(reader, away)),
            asyncio.create_task(pass_on(there, writer)),
        ]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        away.transport.abort()
        writer.transport.abort()

    inherited = socket.socket(fileno=int(listening))
    people = await asyncio.start_server(carry, sock=inherited)
    stations = await asyncio.start_server(carry, host, int(port), ssl=tls)
    print("ready", flush=True)
    async with people, stations:
        await asyncio.to_thread(sys.stdin.read)


async def pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
        sink.write_eof() if sink.can_write_eof() else None


if __name__ == "__main__":
    asyncio.run(main())
