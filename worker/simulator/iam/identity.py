"""Everything about who asks, in one place: the calls, the gate, and a view for people.

The calls are answered outside of the simulated faults and throttle of ModelArts; they have
a rate of failure of their own (`iam_faults`).
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from jobs.clock import MICROSECONDS
from worker.simulator.answers import Answer, server_error
from worker.simulator.asked import Asked
from worker.simulator.chance import chance
from worker.simulator.credentials import Authenticator
from worker.simulator.iam import keys, projects, tokens
from worker.simulator.iam.desk import Desk
from worker.simulator.iam.directory import AGENCY, Directory
from worker.simulator.iam.gate import Gate
from worker.simulator.iam.passes import Passes
from worker.simulator.routes import Call
from worker.simulator.world import Visit, World

_CALLS: Final[Mapping[Call, Callable[[Desk, Visit, Asked], Answer]]] = MappingProxyType(
    {
        Call.SIGN_IN: tokens.by_password,
        Call.FEDERATED_SIGN_IN: tokens.by_id_token,
        Call.ISSUE_KEY: keys.security_token,
        Call.LIST_PROJECTS: projects.list_projects,
        Call.LIST_OWN_PROJECTS: projects.list_own_projects,
        Call.LIST_OWN_ACCOUNTS: projects.list_own_accounts,
        Call.OPEN_METADATA: keys.metadata_token,
        Call.METADATA_KEY: keys.metadata_key,
        Call.POD_IDENTITY: keys.pod_identity,
    }
)


class Identity:
    """Who there is, who gets in, and the calls that hand out credentials."""

    def __init__(self, world: World, authenticator: Authenticator | None = None) -> None:
        self._world = world
        self.directory = Directory(world.options, world.fleet)
        self._passes = Passes(world.options.seed)
        self._gate = Gate(world, self.directory, self._passes)
        self.authenticator = authenticator or self._gate
        self._desk = Desk(
            world=world,
            directory=self.directory,
            passes=self._passes,
            gate=self._gate,
            authenticator=self.authenticator,
        )

    @property
    def bad_signatures(self) -> int:
        """Wrong signatures of known keys since the start."""
        return self._gate.bad_signatures

    def answer(self, visit: Visit, asked: Asked) -> Answer:
        """Answer one call that has to do with who asks."""
        assert visit.place.call is not None
        options = self._world.options
        if options.iam_faults and chance(options.seed, "iam", visit.seq) < options.iam_faults:
            return server_error(503, visit.request_id)
        return _CALLS[visit.place.call](self._desk, visit, asked)

    def unlock(self) -> None:
        """Let every locked key in again."""
        self._gate.unlock()

    def revoke(self) -> None:
        """Make every token and temporary key that was handed out worthless."""
        self._passes.revoke()

    def portrait(self) -> dict[str, Any]:
        """Return everybody with their secrets, for who stands in front of the machine."""
        directory, now_us = self.directory, self._world.clock.now_us()
        key_rows = []
        for key in directory.keys:
            record = self._gate.record(key.access)
            locked_us = max(record.locked_until_us - now_us, 0)
            row = {"access": key.access, "secret": key.secret, "user": key.user.name}
            state = {"wrong_signatures": record.wrong, "locked_s": locked_us / MICROSECONDS}
            key_rows.append({**row, **state})
        return {
            "auth": self._world.options.auth,
            "accounts": [
                {
                    "id": account.id,
                    "name": account.name,
                    "agency": AGENCY,
                    "projects": [
                        {"id": project.id, "name": project.name}
                        for project in directory.projects(account)
                    ],
                }
                for account in directory.accounts
            ],
            "users": [
                {"name": user.name, "password": user.password, "account": user.account.name}
                for user in directory.users
            ],
            "keys": key_rows,
            "pod": {"path": "/v1/credentials", "token": directory.pod_token},
            "provider": {"id": directory.provider, "id_token": directory.id_token},
        }
