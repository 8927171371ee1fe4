"""What others have to say while a rollout is followed: it stands among the lines about it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from worker.cli.choices import Choices
from worker.cli.console import Console


class Aside(Console):
    """A console whose remarks stand among the lines of whoever follows a rollout."""

    def __init__(self, choices: Choices) -> None:
        super().__init__(choices)
        self._heard: Callable[[str], None] | None = None

    @contextmanager
    def heard_by(self, heard: Callable[[str], None]) -> Iterator[None]:
        """Let *heard* take the remarks while the block lasts."""
        self._heard = heard
        try:
            yield
        finally:
            self._heard = None

    def say(self, text: str = "") -> None:
        """Write a line for the person beside the result."""
        if self._heard is None:
            super().say(text)
        else:
            self._heard(text)
