"""Which addresses may be called on somebody's behalf."""

from collections.abc import Sequence
from ipaddress import ip_address, ip_network

import pytest

from executor import destinations
from executor.destinations import Forbidden, Network, Unknown

pytestmark = pytest.mark.anyio

PRIVATE = """
0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.127.255.255 127.0.0.1 127.255.255.254
169.254.0.1 169.254.169.254 169.254.170.2 172.16.0.1 172.31.255.255 192.0.0.1 192.0.0.192
192.0.2.1 192.88.99.1 192.168.0.1 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.7
224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255 168.63.129.16 100.100.100.200
:: ::1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::127.0.0.1 ::7f00:1
64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 64:ff9b:1::a00:1 100::1 2001::1 2001:0:7f00:1::
2001:db8::1 2001:10::1 2002:7f00:1:: 2002:a00:1::1 2002:a9fe:a9fe:: 3fff::1 4000::1 5f00::1
fc00::1 fd00::1 fd00:ec2::254 fd20:ce::254 fe80::1 febf::1 fec0::1 ff02::1 ff0e::1
"""
PUBLIC = """
1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.1 100.63.255.255 100.128.0.1 126.255.255.255 128.0.0.1
172.15.255.255 172.32.0.1 192.0.1.1 192.167.255.255 198.17.255.255 198.20.0.1 223.255.255.255
2606:4700:4700::1111 2a00:1450::1 2001:4860:4860::8888 ::ffff:8.8.8.8 64:ff9b::808:808
2002:808:808::1
"""


def networks(*texts: str) -> Sequence[Network]:
    return [ip_network(text) for text in texts]


@pytest.mark.parametrize("text", PRIVATE.split())
def test_what_is_not_for_everybody_is_refused(text: str) -> None:
    with pytest.raises(Forbidden, match="not a public address"):
        destinations.check("name", ip_address(text), ())


@pytest.mark.parametrize("text", PUBLIC.split())
def test_what_is_for_everybody_is_not(text: str) -> None:
    destinations.check("name", ip_address(text), ())


def test_a_network_that_is_allowed_opens_itself_and_nothing_else() -> None:
    allowed = networks("10.1.0.0/16", "fd12::/16")
    for text in ("10.1.2.3", "fd12::1", "::ffff:10.1.2.3"):
        destinations.check("name", ip_address(text), allowed)
    for text in ("10.2.0.1", "127.0.0.1", "::ffff:10.2.0.1", "fd13::1"):
        with pytest.raises(Forbidden):
            destinations.check("name", ip_address(text), allowed)


def test_no_network_opens_the_metadata_of_clouds_but_the_address_itself() -> None:
    metadata = ip_address("169.254.169.254")
    for text in ("0.0.0.0/0", "169.254.0.0/16", "169.254.169.254/31"):
        with pytest.raises(Forbidden):
            destinations.check("name", metadata, networks(text))
    destinations.check("name", metadata, networks("169.254.169.254/32"))
    with pytest.raises(Forbidden):
        destinations.check("name", ip_address("::ffff:169.254.169.254"), networks("::/0"))


async def test_one_address_that_is_forbidden_forbids_the_name() -> None:
    async def mixed(host: str, port: int) -> Sequence[str]:
        return ["8.8.8.8", "127.0.0.1"]

    with pytest.raises(Forbidden, match="name"):
        await destinations.find("name", 80, (), mixed)


async def test_a_name_that_leads_nowhere_is_said_to() -> None:
    async def nowhere(host: str, port: int) -> Sequence[str]:
        return []

    async def away(host: str, port: int) -> Sequence[str]:
        raise OSError(-2, "Name or service not known")

    for resolve in (nowhere, away):
        with pytest.raises(Unknown, match="name: "):
            await destinations.find("name", 80, (), resolve)
