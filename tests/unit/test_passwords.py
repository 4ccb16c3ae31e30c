import pytest

from scheduler.domain.errors import Invalid
from scheduler.domain.passwords import require_strong, weakness


@pytest.mark.parametrize(
    "password",
    [
        "",
        "short",
        "elevenchars",
        "aaaaaaaaaaaa",
        "abababababababab",
        "PasswordPassword",
        "correct horse battery staple",
        "123456789012",
        "anna-anna123",
        "Anna12345678",
        "x" * 257,
    ],
)
def test_what_others_would_try_first_is_no_password(password: str) -> None:
    assert weakness(password, "anna") is not None


@pytest.mark.parametrize(
    "password",
    [
        "twelve chars",
        "ærlig talt, nei",
        "anna likes quiet hedges",
        "x9-yz" * 50,
        "🦔🌧️ rain on Tuesday",
    ],
)
def test_length_is_enough(password: str) -> None:
    assert weakness(password, "anna") is None


def test_a_refusal_says_what_to_take_and_not_what_was_given() -> None:
    with pytest.raises(Invalid) as refused:
        require_strong("hunter2", "anna")
    assert refused.value.field == "password"
    assert "12" in (refused.value.remedy or "")
    assert "hunter2" not in str(refused.value)
