"""Hashes of passwords: argon2id, in threads of their own, a few at once."""

import asyncio
import secrets
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

# What OWASP asks for at least: 19 MiB, twice. A check takes some 40 ms.
HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
THREADS = ThreadPoolExecutor(4, thread_name_prefix="password")


async def hashed(password: str) -> str:
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(THREADS, HASHER.hash, normal(password))


async def fits(password: str, hash: str | None) -> bool:
    """Takes as long when there is no hash as when there is one."""
    loop = asyncio.get_running_loop()
    right = await loop.run_in_executor(THREADS, verified, normal(password), hash)
    return right and hash is not None


def verified(password: str, hash: str | None) -> bool:
    instead = nobodys()
    try:
        return HASHER.verify(instead if hash is None else hash, password)
    except (VerificationError, InvalidHashError):
        return False


def normal(password: str) -> str:
    """The same, however a keyboard composes its letters."""
    return unicodedata.normalize("NFKC", password)


@cache
def nobodys() -> str:
    """The hash of a password that nobody has."""
    return HASHER.hash(secrets.token_urlsafe())
