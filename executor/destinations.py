"""Which addresses may be called on somebody's behalf, and finding those of a name once.

Who writes a definition, or fills its values, must not reach what only this machine can reach:
so every address of a name is looked at, and what was looked at is what is connected to.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

MOST_ADDRESSES = 16

# All that is not for the whole internet; of IPv6 only what has been given out is.
NOT_PUBLIC = [
    ip_network(each)
    for each in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",
        "2001::/23",
        "2001:db8::/32",
        "3fff::/20",
    )
]
GIVEN_OUT = IPv6Network("2000::/3")
# Where clouds tell a machine its own keys: only an address that is named by itself opens them.
METADATA = [
    ip_address(each)
    for each in (
        "169.254.169.254",
        "169.254.170.2",
        "168.63.129.16",
        "100.100.100.200",
        "192.0.0.192",
        "fd00:ec2::254",
        "fd20:ce::254",
    )
]
MAPPED = IPv6Network("::ffff:0:0/96")
COMPATIBLE = IPv6Network("::/96")
TRANSLATED = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))
TUNNELLED = IPv6Network("2002::/16")


class Forbidden(Exception):
    """An address that may not be called; says which, and what would open it."""


class Unknown(Exception):
    """A name that leads nowhere."""


async def system_resolve(host: str, port: int) -> Sequence[str]:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


async def find(host: str, port: int, allowed: Sequence[Network], resolve: Resolve) -> list[str]:
    """The addresses of a host, each looked at; one that may not be called forbids them all."""
    try:
        found = list(dict.fromkeys(await resolve(host, port)))[:MOST_ADDRESSES]
    except (OSError, UnicodeError) as error:
        raise Unknown(f"{host}: {getattr(error, 'strerror', None) or error}") from error
    if not found:
        raise Unknown(f"{host}: this name has no address")
    for each in found:
        check(host, ip_address(each.partition("%")[0]), allowed)
    return found


def check(host: str, address: Address, allowed: Sequence[Network]) -> None:
    for each in (address, *within(address)):
        if not is_public(each) and not is_allowed(each, allowed):
            whose = host if host == str(address) else f"{host} ({address})"
            raise Forbidden(
                f"{whose} is not a public address: the task must say 'allow_private: true', and "
                "the worker's setting http.allow_private must name its network"
            )


def is_allowed(address: Address, allowed: Sequence[Network]) -> bool:
    if address in METADATA:
        return ip_network(address) in allowed
    return any(address in network for network in allowed)


def is_public(address: Address) -> bool:
    """Of an IPv6 address that stands for one of IPv4, the latter decides as well."""
    if address in METADATA or any(address in network for network in NOT_PUBLIC):
        return False
    if isinstance(address, IPv4Address):
        return True
    return address in GIVEN_OUT or any(address in network for network in (MAPPED, *TRANSLATED))


def within(address: Address) -> Iterator[IPv4Address]:
    if isinstance(address, IPv6Address):
        if any(address in network for network in (MAPPED, COMPATIBLE, *TRANSLATED)):
            yield IPv4Address(int(address) & 0xFFFFFFFF)
        if address in TUNNELLED:
            yield IPv4Address(int(address) >> 80 & 0xFFFFFFFF)
