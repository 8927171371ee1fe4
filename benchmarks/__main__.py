"""The command line: `python -m benchmarks [quick|store|api|pages]`; the whole run by default."""

import argparse
import sys

from benchmarks import figures, full, plot, quick, report
from benchmarks.intake import run as api
from benchmarks.storing import pages
from benchmarks.storing import run as store


def write_pages() -> None:
    """Write every page and plot that is made from the figures."""
    results = figures.load()
    folder = figures.FOLDER
    (folder / "RESULTS.md").write_text(report.page(results))
    (folder / "cpu.svg").write_text(plot.cpu(results))
    (folder / "parts.svg").write_text(plot.parts(results))
    if pages.FIGURES.exists():
        pages.PAGE.write_text(pages.page(pages.load()))


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    commands = parser.add_subparsers(dest="command", required=True)
    full.add_arguments(commands.add_parser("full", help="rounds of everybody, the default"))
    quick.add_arguments(commands.add_parser("quick", help="one figure in half a minute"))
    store.add_arguments(commands.add_parser("store", help="the store, up to a million jobs"))
    api.add_arguments(commands.add_parser("api", help="jobs over HTTP, each on the disk"))
    commands.add_parser("pages", help="write the pages anew from results.json")
    asked = parser.parse_args(sys.argv[1:] or ["full"])
    if asked.command == "quick":
        quick.main(asked)
        return
    if asked.command == "store":
        store.main(asked)
        return
    if asked.command == "api":
        api.main(asked)
        return
    if asked.command == "full":
        full.measure(asked).save()
    write_pages()
    if asked.command == "full":
        print((figures.FOLDER / "RESULTS.md").read_text())


if __name__ == "__main__":
    main()
