"""The command line: `python -m benchmarks [quick]`."""

import argparse
import sys

from benchmarks import quick


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    commands = parser.add_subparsers(dest="command", required=False)
    quick.add_arguments(commands.add_parser("quick", help="one figure in half a minute"))
    asked = parser.parse_args(sys.argv[1:] or ["quick"])
    quick.main(asked)


if __name__ == "__main__":
    main()
