"""The one place that redraws a part of the terminal: rich, loaded only when it is wanted."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Lines = Callable[[int, int], list[str]]
"""Makes the lines for a width and a height."""


@contextmanager
def redrawn() -> Iterator[Callable[[Lines], None]]:
    """Yield what draws; what stands at the end is taken away, the recap follows."""
    from rich.console import Console as RichConsole  # noqa: PLC0415 - only when drawing
    from rich.live import Live  # noqa: PLC0415 - only when drawing
    from rich.text import Text  # noqa: PLC0415 - only when drawing

    screen = RichConsole(file=sys.stderr, no_color=True, highlight=False, markup=False)
    with Live(
        console=screen,
        auto_refresh=False,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    ) as live:

        def show(lines: Lines) -> None:
            made = lines(screen.width, max(4, screen.height - 1))
            live.update(Text("\n".join(made), no_wrap=True, overflow="crop"), refresh=True)

        yield show
