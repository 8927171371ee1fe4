"""Secrets that the tests plant, so that a search after each test can look for them.

Every credential and every secret input of the suite holds one of two marks.  What is looked
for are the marks, in `tests.leaks`; so a test that needs another secret makes it by
`credential` or `secret_input`, or registers what somebody else made by `watch_for`.
"""

from typing import Any, Final

CREDENTIAL_MARK: Final = "Q7KPLANTED"
"""In every access key, secret key, token and password: these may be nowhere at all."""

INPUT_MARK: Final = "Q7KINPUTS"
"""In every secret inside a plug-in's inputs: the store keeps it, nobody shows it."""


def credential(text: str) -> str:
    """Return a credential that is found again."""
    return f"{text}{CREDENTIAL_MARK}"


def secret_input(text: str) -> str:
    """Return a secret input that is found again."""
    return f"{text}{INPUT_MARK}"


ACCESS_KEY: Final = f"AK{CREDENTIAL_MARK}00000001"
SECRET_KEY: Final = f"sk{CREDENTIAL_MARK}/4711+"
SECURITY_TOKEN: Final = f"security{CREDENTIAL_MARK}=="
TOKEN: Final = f"MII{CREDENTIAL_MARK}0002"
PASSWORD: Final = f"pass {CREDENTIAL_MARK} word"
ACCESS_CODE: Final = f"code-{INPUT_MARK}-0003"

INPUTS: Final[dict[str, Any]] = {"custom": {"accessCode": ACCESS_CODE}}
"""Inputs as customers have them: one of them opens something."""

watched: Final[set[str]] = set()
"""Further secrets of the running test."""


def watch_for(secret: str) -> str:
    """Look for *secret* too, until the running test ends; return it."""
    watched.add(secret)
    return secret
