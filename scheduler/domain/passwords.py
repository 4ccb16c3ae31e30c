"""What may be a password. Length is what counts; no rules about kinds of characters."""

from scheduler.domain.errors import Invalid

SHORTEST, LONGEST = 12, 256
FEWEST_CHARACTERS = 5  # that differ
FILLERS = "0123456789 !._-@#$"

# What people take when they are asked for twelve characters or more; the lists of what leaked
# begin with these.
WORDS = """
123456789012 1234567890123 12345678901234 123456789012345 1234567890123456 0123456789012
1q2w3e4r5t6y 1qaz2wsx3edc 1qaz2wsx3edc4rfv qwertyuiop12 qwertyuiop123 qwertyuiop[] qwertyuiopasdf
asdfghjkl123 zxcvbnm12345 q1w2e3r4t5y6 qazwsxedcrfv passwordpassword password1234 password12345
password123456 p@ssw0rd1234 passw0rd1234 adminadmin12 administrator administrator1
administrator123 letmeinletmein welcome12345 welcome123456 iloveyou1234 iloveyou12345
changemechangeme changeme1234 changeme12345 abcdefghijkl abcdefghijklm abcdefghijklmnop
abcd12345678 abc123456789 a123456789012 football1234 baseball1234 superman1234 dragon123456
monkey123456 sunshine1234 princess1234 liverpool123 manchester123 trustno1trustno1 secretsecret
masterpassword correcthorsebatterystaple
"""
KNOWN = frozenset(WORDS.split())


def require_strong(password: str, name: str) -> None:
    if why := weakness(password, name):
        raise Invalid(
            f"this password {why}",
            field="password",
            remedy=f"take {SHORTEST} characters or more; a few words that do not belong together",
        )


def weakness(password: str, name: str) -> str | None:
    """What is wrong with it, as the end of a sentence."""
    plain = password.casefold()
    if len(password) < SHORTEST:
        return f"is shorter than {SHORTEST} characters"
    if len(password) > LONGEST:
        return f"is longer than {LONGEST} characters"
    if len(set(plain)) < FEWEST_CHARACTERS:
        return "has too few different characters"
    if plain.replace(" ", "") in KNOWN:
        return "is one that others try first"
    if name in plain and not plain.replace(name, "").strip(FILLERS):
        return "is little more than the user's name"
    return None
