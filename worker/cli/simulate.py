"""`plugwave simulate`: serve the simulated cloud, and say how to use it."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import anyio
import click

from jobs.errors import InputFileError, UsageError
from worker.cli.choices import Choices
from worker.cli.console import Console
from worker.cli.lazy import PlugwaveCommand
from worker.cli.printing import as_json, document
from worker.cli.session import run_async
from worker.cli.simulator_options import simulator_options
from worker.simulator import Simulator, SimulatorOptions, serve
from worker.simulator.catalogue import CATALOGUE
from worker.simulator.fleet import Fleet

LISTEN: Final = "127.0.0.1:8600"


class AddressType(click.ParamType[tuple[str, int]]):
    """Where to listen, written ``HOST:PORT`` or ``[::1]:PORT``; port 0 takes a free one."""

    name = "host:port"

    def convert(
        self,
        value: str | tuple[str, int],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> tuple[str, int]:
        """Return host and port."""
        if isinstance(value, tuple):
            return value
        host, separator, port = value.rpartition(":")
        if not separator or not host or not port.isascii() or not port.isdigit():
            self.fail(f"'{value}' is not an address; write 127.0.0.1:8600", param, ctx)
        if int(port) > 65535:
            self.fail(f"there is no port {port}", param, ctx)
        return host.strip("[]"), int(port)


@click.command(cls=PlugwaveCommand)
@click.option("--listen", type=AddressType(), default=LISTEN, show_default=True, help="HOST:PORT.")
@click.option(
    "--journal", type=click.Path(dir_okay=False, path_type=Path), help="Write every request here."
)
@click.option(
    "--write-jobs",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write one job request for each pool to this file, ready for enqueue.",
)
@click.option("--plugin", default="volcano", show_default=True, help="Plug-in of those jobs.")
@click.option("--version", "plugin_version", help="Its version; the newest one offered without it.")
@click.option(
    "--keys",
    default="sim",
    show_default=True,
    help="What the idempotency keys of those jobs begin with; empty for jobs without keys.",
)
@simulator_options
@click.pass_obj
def simulate(choices: Choices, /, **wanted: Any) -> None:  # noqa: ANN401 - click's values, by name
    """Serve the cloud API as a simulator until Ctrl-C.

    Nothing leaves this machine.  Seconds are simulated ones unless they are said to be
    real; a rate is between 0 and 1.
    """
    console = Console(choices)
    address: tuple[str, int] = wanted.pop("listen")
    journal: Path | None = wanted.pop("journal")
    jobs_file: Path | None = wanted.pop("write_jobs")
    plugin, version = wanted.pop("plugin"), wanted.pop("plugin_version")
    keys = wanted.pop("keys")
    options = SimulatorOptions(**wanted)
    if jobs_file is not None:
        count = write_jobs(jobs_file, options, (plugin, version), keys)
        console.say(f"{count} job requests are in {jobs_file}")
    run_async(_simulate, console, options, address, journal, fast=True)


async def _simulate(
    console: Console, options: SimulatorOptions, address: tuple[str, int], journal: Path | None
) -> None:
    stop = anyio.Event()
    host, port = address
    simulator = Simulator(options, journal=journal)
    async with anyio.create_task_group() as tasks:
        await tasks.start(_stop_on_signal, stop)
        await serve(
            simulator,
            host,
            port,
            stop=stop,
            on_ready=lambda _: _tell(console, simulator),
        )
        tasks.cancel_scope.cancel()
    console.say("The simulator has stopped.")


def _tell(console: Console, simulator: Simulator) -> None:
    """Print where it listens and how to point plugwave at it."""
    options, url, environment = simulator.options, simulator.url, simulator.environment
    if console.structured:
        document(console, {"url": url, "environment": environment})
    elif console.choices.output == "name":
        console.out(url)
    else:
        console.out(url)
        for name, value in environment.items():
            console.out(f"export {name}={value}")
    console.flush()
    pools = options.projects * options.pools
    console.say(
        f"Simulated cloud: {pools} pools in {options.projects} projects, "
        f"{options.speed:g} times real time. Ctrl-C ends it."
    )
    if options.auth != "none":
        _tell_who(console, simulator)


def _tell_who(console: Console, simulator: Simulator) -> None:
    """Print the keys that open the simulated cloud; they open nothing else."""
    for key in simulator.identity.directory.keys:
        console.say(f"Key of {key.user.name}: {key.access} {key.secret}")
    console.say(f"Passwords, agencies, projects: {simulator.url}/_sim/credentials")


async def _stop_on_signal(
    stop: anyio.Event, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED
) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as received:
        task_status.started()
        async for _ in received:
            stop.set()


def write_jobs(
    path: Path, options: SimulatorOptions, wish: tuple[str, str | None], keys: str | None
) -> int:
    """Write one job request for each pool and return how many there are.

    Raises:
        UsageError: If the simulator does not offer that plug-in or version.
        InputFileError: If the file cannot be written.
    """
    _check_offered(*wish)
    try:
        with path.open("w", encoding="utf-8") as file:
            count = 0
            for line in _requests(options, wish, keys):
                file.write(line + "\n")
                count += 1
    except OSError as error:
        message = f"{path} cannot be written: {error.strerror}"
        raise InputFileError(message, do="name a file in a folder that may be written") from error
    return count


def _check_offered(plugin: str, version: str | None) -> None:
    template = CATALOGUE.get(plugin)
    if template is None:
        known = ", ".join(CATALOGUE)
        raise UsageError(f"the simulator offers no plug-in '{plugin}'", do=f"choose one of {known}")
    if version is not None and not template.offers(version):
        known = ", ".join(offered for offered, _ in template.versions)
        raise UsageError(f"{plugin} has no version {version}", do=f"choose one of {known}")


def _requests(
    options: SimulatorOptions, wish: tuple[str, str | None], keys: str | None
) -> Iterator[str]:
    name, version = wish
    plugin = {"name": name} if version is None else {"name": name, "version": version}
    for number, (project_id, pool_name) in enumerate(Fleet(options).targets, start=1):
        job: dict[str, Any] = {
            "project_id": project_id,
            "pool_name": pool_name,
            "region": options.region,
            "plugin": plugin,
        }
        yield as_json(job if not keys else {**job, "idempotency_key": f"{keys}-{number}"})
