"""Worlds that a seed says all of: their promises are kept, or a seed is named that breaks one."""

from collections.abc import Callable, Iterable


class Broken(AssertionError):
    """A promise that was not kept."""


def keep(play: Callable[[int], object], seeds: Iterable[int]) -> None:
    for seed in seeds:
        try:
            play(seed)
        except Broken as error:
            raise AssertionError(f"seed {seed}: {error}") from error


def are_broken(play: Callable[[int], object], seeds: Iterable[int]) -> bool:
    """By one of these: what is not there any more where it has to be counts as well."""
    for seed in seeds:
        try:
            play(seed)
        except (Broken, LookupError):
            return True
    return False
