from datetime import UTC, datetime, timedelta

import pytest

from scheduler.domain.process_types import from_document, to_document
from scheduler.domain.retries import GiveUp, Retry, RetryPolicy, Verdict, after_failure

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def judged(
    policy: RetryPolicy,
    counted: int = 1,
    exit_code: int | None = 1,
    *,
    retryable: bool = True,
    chance: float = 0.0,
    error_type: str | None = None,
) -> Verdict:
    return after_failure(
        policy,
        counted=counted,
        exit_code=exit_code,
        retryable=retryable,
        now=NOON,
        chance=chance,
        error_type=error_type,
    )


@pytest.mark.parametrize(
    ("counted", "verdict"),
    [
        (1, Retry(NOON + timedelta(seconds=10))),
        (2, Retry(NOON + timedelta(seconds=20))),
        (3, Retry(NOON + timedelta(seconds=35))),  # 40 s, cut to the longest delay
        (4, GiveUp("all 3 retries failed too")),
    ],
)
def test_each_retry_waits_longer_until_none_is_left(counted: int, verdict: Verdict) -> None:
    policy = RetryPolicy(max=3, delay=timedelta(seconds=10), max_delay=timedelta(seconds=35))
    assert judged(policy, counted) == verdict


def test_without_a_policy_the_first_failure_is_the_last() -> None:
    assert judged(RetryPolicy()) == GiveUp("the task has no retries")


def test_a_permanent_failure_is_not_retried() -> None:
    verdict = judged(RetryPolicy(max=5), retryable=False)
    assert verdict == GiveUp("the failure is permanent")


def test_only_the_listed_exit_codes_are_retried() -> None:
    policy = RetryPolicy(max=5, exit_codes=frozenset({75}))
    assert isinstance(judged(policy, exit_code=75), Retry)
    assert judged(policy, exit_code=1) == GiveUp("exit code 1 is not among those that are retried")


def test_an_attempt_that_never_said_an_exit_code_is_retried_whatever_the_list() -> None:
    policy = RetryPolicy(max=1, exit_codes=frozenset({75}))
    assert isinstance(judged(policy, exit_code=None), Retry)


def test_jitter_lengthens_a_wait_and_never_shortens_it() -> None:
    policy = RetryPolicy(max=1, delay=timedelta(seconds=1), jitter=0.5)
    waits = [judged(policy, chance=chance) for chance in (0.0, 0.5, 1.0)]
    assert waits == [Retry(NOON + timedelta(seconds=s)) for s in (1, 1.25, 1.5)]


@pytest.mark.parametrize("counted", [10, 999, 100_000])
def test_growth_without_end_stays_at_the_longest_delay(counted: int) -> None:
    policy = RetryPolicy(max=1_000_000, backoff=100, max_delay=timedelta(minutes=1))
    assert judged(policy, counted) == Retry(NOON + timedelta(minutes=1))


@pytest.mark.parametrize(
    ("error_type", "is_retried"), [("Away", True), ("Wrong", False), (None, True)]
)
def test_only_errors_of_the_types_that_are_named_are_retried(
    error_type: str | None, is_retried: bool
) -> None:
    policy = RetryPolicy(max=1, errors=frozenset({"Away"}))
    verdict = judged(policy, exit_code=None, error_type=error_type)
    assert isinstance(verdict, Retry) is is_retried


def test_the_types_of_errors_are_read_and_written_as_they_are() -> None:
    retries = {"max": 2, "errors": ["TimeoutError", "java.io.IOException"]}
    document = {"name": "cut", "tasks": [{"name": "saw", "action": "saw", "retries": retries}]}
    assert to_document(from_document(document)) == document
