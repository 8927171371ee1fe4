"""Commands that are imported when they are called, and the flags all of them share.

A global flag counts before and after the sub-command.  Its callback writes it into the
`Choices` of the run, so that no command has to pass it on.
"""

import difflib
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from worker.cli.catalogue import EXIT_CODES, Entry
from worker.cli.choices import OUTPUTS, Choices

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

WIDTH: Final = 100
"""Columns of help texts and of tables when the terminal's width is unknown."""

SETTINGS: Final[Mapping[str, Any]] = {
    "help_option_names": ["-h", "--help"],
    "max_content_width": WIDTH,
}


def _remember(ctx: click.Context, param: click.Parameter, value: Any) -> None:  # noqa: ANN401 - click hands over any value
    if not value or ctx.resilient_parsing:
        return
    choices = ctx.ensure_object(Choices)
    assert param.name is not None
    choices.remember(param.name, value)


def _option(*names: str, **more: Any) -> click.Option:  # noqa: ANN401 - handed on to click
    return click.Option(names, expose_value=False, callback=_remember, **more)


def global_options() -> list[click.Option]:
    """Return the flags that every command takes; new objects each time."""
    return [
        _option(
            "-o", "--output", metavar="FORM", help=f"Form of the result: {', '.join(OUTPUTS)}."
        ),
        _option("--config", type=click.Path(path_type=Path), help="Settings file to read."),
        _option("--profile", metavar="NAME", help="Work as this profile of the settings."),
        _option("--no-color", is_flag=True, help="No colours."),
        _option("--ascii", is_flag=True, help="Plain symbols."),
        _option("-q", "--quiet", is_flag=True, help="Only results and errors."),
        _option("-v", "--verbose", count=True, help="More logs; twice shows tracebacks."),
        _option("--log-format", type=click.Choice(["pretty", "json"]), help="Form of the logs."),
    ]


class _WithGlobals(click.Command):
    """A command whose global flags stand in a help section of their own."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - handed on to click
        super().__init__(*args, **kwargs)
        self._globals = global_options()
        self.params.extend(self._globals)
        self.context_settings = {**SETTINGS, **self.context_settings}

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the command's own options first, then the global ones."""
        own: list[tuple[str, str]] = []
        shared: list[tuple[str, str]] = []
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None:
                (shared if param in self._globals else own).append(record)
        for title, records in (("Options", own), ("Global options", shared)):
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


class PlugwaveCommand(_WithGlobals):
    """One command with the global flags."""


class LazyGroup(_WithGlobals, click.Group):
    """A group that knows its commands by the catalogue and imports one when it is called."""

    def __init__(self, entries: Mapping[str, Entry], **kwargs: Any) -> None:  # noqa: ANN401 - handed on to click
        super().__init__(**kwargs)
        self._entries = entries

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names in the catalogue's order."""
        return list(self._entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Import the command, or make the group."""
        entry = self._entries.get(cmd_name)
        if entry is None:
            return None
        if entry.where is None:
            return LazyGroup(entry.commands or {}, name=cmd_name, help=entry.help)
        module, attribute = entry.where.split(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list["CompletionItem"]:
        """Propose the commands by the catalogue, so that completion imports none of them."""
        from click.shell_completion import CompletionItem  # noqa: PLC0415 - loaded when asked for

        found = [
            CompletionItem(name, help=entry.help)
            for name, entry in self._entries.items()
            if name.startswith(incomplete)
        ]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or name the nearest one."""
        name = args[0]
        if name not in self._entries and not name.startswith("-"):
            near = difflib.get_close_matches(name, self._entries, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            raise click.UsageError(f"no such command '{name}'{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands before the options; at the top also the exit codes."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in self._entries.items()])
        super().format_options(ctx, formatter)
        if ctx.parent is None:
            with formatter.section("Exit codes"):
                formatter.write_dl([(str(code), what) for code, what in EXIT_CODES.items()])

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write nothing: the commands stand before the options."""
