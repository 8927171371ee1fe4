"""Who there is: accounts, users, keys, projects and agencies, as data.

All of it follows from the seed, so that a test can know it without asking:

* account A (from 0): id from ``{seed}/account/A``, name ``sim-account-{A+1}``
* user U: name ``sim-user-{U+1}``, in account ``U % accounts``
* key K: of user ``K % users``; project P: of account ``P % accounts``

An account's first project is named exactly like the region, the others ``{region}_{n}``.
As in life there is also a project in another region, and one that is only for storage.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from worker.simulator.chance import hexadecimal
from worker.simulator.fleet import Fleet, account_id
from worker.simulator.options import SimulatorOptions

AGENCY: Final = "plugwave-agency"
"""The one agency; every account has it and it trusts every account."""

STORAGE_PROJECT: Final = "MOS"
_OTHER_REGIONS: Final = ("cn-east-3", "cn-north-4")


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Who owns projects and pays; IAM calls it a domain."""

    id: str
    name: str

    @property
    def agency(self) -> str:
        """What stands for whoever acts through the account's agency."""
        return f"{AGENCY}@{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Somebody with a password."""

    id: str
    name: str
    account: Account
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A permanent key pair of a user."""

    access: str
    secret: str = field(repr=False)
    user: User


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A project of an account; the pools are in those of our own region."""

    id: str
    name: str
    account: Account
    region: str | None
    parent_id: str


class Directory:
    """Everybody and everything that can be asked for by name."""

    def __init__(self, options: SimulatorOptions, fleet: Fleet) -> None:
        self._options = options
        seed = options.seed
        self.accounts = [
            Account(id=account_id(seed, number), name=f"sim-account-{number + 1}")
            for number in range(options.accounts)
        ]
        self.users = [self._user(number) for number in range(options.users)]
        self.keys = [self._key(number) for number in range(options.key_pairs if self.users else 0)]
        self.pod_token = hexadecimal(seed, "pod-token", digits=40)
        self.provider = "sim-provider"
        self.id_token = hexadecimal(seed, "id-token", digits=40)
        self._by_access = {key.access: key for key in self.keys}
        self._by_principal = {user.name: user.account for user in self.users}
        self._by_principal.update((account.agency, account) for account in self.accounts)
        self._project_ids = fleet.projects
        self._owners = {
            project: self.accounts[number % options.accounts]
            for number, project in enumerate(self._project_ids)
        }

    def key(self, access: str) -> Key | None:
        """Return the permanent key pair, or None."""
        return self._by_access.get(access)

    def account_of(self, principal: str) -> Account | None:
        """Return the account somebody acts in, None when nobody is known by that name."""
        return self._by_principal.get(principal)

    def account(self, *, name: object = None, account_id: object = None) -> Account | None:
        """Return the account of that name or id."""
        for account in self.accounts:
            if name == account.name or account_id == account.id:
                return account
        return None

    def user(self, *, name: object, account: object) -> User | None:
        """Return the user of that name in the account of that name."""
        for user in self.users:
            if (user.name, user.account.name) == (name, account):
                return user
        return None

    def owner(self, project_id: str) -> Account | None:
        """Return whose project it is; None for one that is not in the fleet."""
        return self._owners.get(project_id)

    def projects(self, account: Account) -> Iterator[Project]:
        """Yield the account's projects, our region's first."""
        region = self._options.region
        number = 0
        parent_id = account.id
        for project_id in self._project_ids:
            if self._owners[project_id] is not account:
                continue
            name = region if number == 0 else f"{region}_{number:03d}"
            yield Project(
                id=project_id, name=name, account=account, region=region, parent_id=parent_id
            )
            if number == 0:
                parent_id = project_id
            number += 1
        yield self._extra(account, self.other_region, self.other_region)
        yield self._extra(account, STORAGE_PROJECT, None)

    @property
    def other_region(self) -> str:
        """A region that is not ours; every account has a project there."""
        return next(name for name in _OTHER_REGIONS if name != self._options.region)

    def _extra(self, account: Account, name: str, region: str | None) -> Project:
        project_id = hexadecimal(self._options.seed, "extra-project", name, account.id)
        return Project(
            id=project_id, name=name, account=account, region=region, parent_id=account.id
        )

    def _user(self, number: int) -> User:
        seed = self._options.seed
        return User(
            id=hexadecimal(seed, "user", number),
            name=f"sim-user-{number + 1}",
            account=self.accounts[number % len(self.accounts)],
            password=hexadecimal(seed, "password", number, digits=20),
        )

    def _key(self, number: int) -> Key:
        seed = self._options.seed
        return Key(
            access=hexadecimal(seed, "access", number, digits=20).upper(),
            secret=hexadecimal(seed, "secret", number, digits=40),
            user=self.users[number % len(self.users)],
        )
