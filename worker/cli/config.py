"""`plugwave config show`."""

import click

from config.describing import describe
from config.masking import clean_text
from worker.cli.choices import Choices
from worker.cli.console import Console
from worker.cli.lazy import PlugwaveCommand
from worker.cli.printing import Column, Table, document
from worker.cli.session import loaded_settings

TEXT_LIMIT = 200
"""Characters of one value or origin that are printed."""


@click.command(cls=PlugwaveCommand)
@click.option("--origin", is_flag=True, help="Also where each value comes from.")
@click.pass_obj
def show(choices: Choices, origin: bool) -> None:  # noqa: FBT001 - click hands over flags by name
    """Print every setting, and where it comes from; secrets are never shown."""
    console = Console(choices)
    loaded = loaded_settings(choices)
    rows = describe(loaded)
    if console.structured:
        settings = [{"key": row.key, "value": row.value_text, "origin": row.origin} for row in rows]
        document(console, {"settings": settings, "files": list(loaded.files)})
        return
    if choices.output == "name":
        for row in rows:
            console.out(row.key)
        return
    columns = [Column(title="KEY"), Column(title="VALUE", width=TEXT_LIMIT)]
    table = Table(console, [*columns, Column(title="ORIGIN")] if origin else columns)
    for row in rows:
        cells = [row.key, row.value_text]
        table.row([*cells, clean_text(row.origin)] if origin else cells)
    table.close()
