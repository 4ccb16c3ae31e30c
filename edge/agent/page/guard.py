"""Whose requests are heard: browsers on pages of this very server, and nobody a page led astray.

Names lead anywhere, so a request that is addressed to a name that is not ours may come from a page
of somebody else whose name was made to point here.
"""

import hashlib
import hmac
import ipaddress
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field

from edge.agent.page.http import Bad, Request

TOKEN = "_form"


@dataclass(frozen=True, slots=True)
class Address:
    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        return ipaddress.ip_address(self.host).is_loopback


@dataclass(frozen=True, slots=True)
class Guard:
    address: Address
    names: Iterable[str] = ()  # by which it may be asked for, beside its address
    secret: bytes = field(default_factory=lambda: secrets.token_bytes(32))

    @property
    def token(self) -> str:
        """Of forms: who cannot read a page of ours does not know it."""
        return hmac.new(self.secret, b"form", hashlib.sha256).hexdigest()

    def require_host(self, request: Request, own: str) -> None:
        """`own` is the address at which this connection came in."""
        asked = request.headers["host"].lower()
        hosts = {str(self.address), str(Address(own, self.address.port))}
        if ipaddress.ip_address(own).is_loopback:
            hosts.add(f"localhost:{self.address.port}")
        hosts |= {f"{name.lower()}:{self.address.port}" for name in self.names}
        if asked not in hosts:
            raise Bad(421, f"this is not {asked[:80]!r}")

    def require_own(self, request: Request, sent: str) -> None:
        """A form of ours, sent by a browser from a page of ours."""
        site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
        here = f"http://{request.headers['host']}"
        foreign = site not in (None, "same-origin") or origin not in (None, here)
        if foreign or (site is None and origin is None):
            raise Bad(403, "this form does not come from a page of this workstation")
        if not hmac.compare_digest(sent.encode(), self.token.encode()):
            raise Bad(403, "this form is of an earlier page: open the page again")


def read_address(text: str) -> Address:
    """As 127.0.0.1:8790 or [::1]:8790; port 0 is any that is free. Raises ValueError."""
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not (port.isascii() and port.isdecimal() and int(port[:6]) < 65536):
        raise ValueError(f"{text[:60]!r} is no address: write it as 127.0.0.1:8790")
    return Address(str(ipaddress.ip_address(host)), int(port))
