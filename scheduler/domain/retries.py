"""What becomes of an attempt that failed. Chance and time come in as values."""

from dataclasses import dataclass
from datetime import datetime, timedelta

LONGEST_ASKED = 3600.0  # seconds: a server that asks for more is asked again all the same


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """`max` counts retries, not attempts: with 2, a command may run three times.

    `exit_codes` limits retrying to those codes. An attempt without one (it timed out, a signal
    ended it) is retried all the same: the list speaks of what the command said itself. So does
    `errors`, of the types of errors that an action may end with.
    """

    max: int = 0
    delay: timedelta = timedelta(seconds=1)
    backoff: float = 2.0
    max_delay: timedelta = timedelta(minutes=5)
    jitter: float = 0.0  # the wait grows by up to this share of it, and never shrinks
    exit_codes: frozenset[int] | None = None
    errors: frozenset[str] | None = None

    def wait(self, retry: int, chance: float) -> timedelta:
        """How long the nth retry waits."""
        try:
            grown = self.delay * self.backoff ** (retry - 1)
        except OverflowError:
            grown = self.max_delay
        return min(grown, self.max_delay) * (1 + self.jitter * chance)


@dataclass(frozen=True, slots=True)
class Retry:
    at: datetime


@dataclass(frozen=True, slots=True)
class GiveUp:
    reason: str


Verdict = Retry | GiveUp


def after_failure(
    policy: RetryPolicy,
    *,
    counted: int,
    exit_code: int | None,
    retryable: bool,
    now: datetime,
    chance: float,
    asked: float | None = None,
    error_type: str | None = None,
) -> Verdict:
    """`counted` is how many attempts counted, the failed one included; `asked` is for how many
    seconds whoever was called wants to be left alone."""
    if not retryable:
        return GiveUp("the failure is permanent")
    if policy.exit_codes is not None and exit_code not in {None, *policy.exit_codes}:
        return GiveUp(f"exit code {exit_code} is not among those that are retried")
    if policy.errors is not None and error_type not in {None, *policy.errors}:
        return GiveUp(f"the error {error_type} is not among those that are retried")
    if counted > policy.max:
        return GiveUp(_spent(policy.max))
    patience = timedelta(seconds=min(asked or 0.0, LONGEST_ASKED))
    return Retry(now + max(policy.wait(max(counted, 1), chance), patience))


def _spent(retries: int) -> str:
    if not retries:
        return "the task has no retries"
    return "its retry failed too" if retries == 1 else f"all {retries} retries failed too"
