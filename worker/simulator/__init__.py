"""The cloud, faked faithfully: the pool plug-in API over real HTTP, with faults on demand.

Public, so that anybody can test automation against it without an account:

    async with Simulator(SimulatorOptions(pools=3, lost_after=0.1)) as cloud:
        project_id, pool_name = cloud.targets[0]
        ...  # talk to cloud.url
        assert cloud.installed(project_id, pool_name)["volcano"].version == "1.15.8"
        assert not any(line["overlap"] for line in cloud.journal.entries())

Nobody needs a credential unless the options say so (`SimulatorOptions.auth`); then
``cloud.identity.directory`` knows keys and users, and ``cloud.environment`` what to export.

It is written from the API's documentation alone and shares no code with the client, so
that a misreading of one is not hidden by the same misreading of the other.
"""

from worker.simulator.credentials import AnyCredential, Authenticator, Rejected, StaticToken
from worker.simulator.iam.identity import Identity
from worker.simulator.journal import Journal
from worker.simulator.options import SimulatorOptions
from worker.simulator.server import Simulator
from worker.simulator.serving import serve
from worker.simulator.state import View

__all__ = [
    "AnyCredential",
    "Authenticator",
    "Identity",
    "Journal",
    "Rejected",
    "Simulator",
    "SimulatorOptions",
    "StaticToken",
    "View",
    "serve",
]
