"""The gateway's check of who asks: signature or token, each as the options say.

A wrong signature counts against its key; more than five in a row lock the key for
everybody who uses it, with right signatures too.  That is why a client must stop at the
first one.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from jobs.clock import seconds_to_us
from worker.simulator.asked import Asked
from worker.simulator.credentials import AnyCredential, Rejected, unauthenticated
from worker.simulator.iam.directory import Account, Directory
from worker.simulator.iam.passes import Bearer, Passes, Token
from worker.simulator.iam.signature import DATE, canonical, claim_of, is_signed, signed_us, stamp
from worker.simulator.iam.times import in_microseconds
from worker.simulator.world import World

LOCKED_AFTER: Final = 5
"""Wrong signatures in a row that a key survives."""

SECURITY_TOKEN: Final = "X-Security-Token"  # noqa: S105 - a header's name
_NOT_SIGNED: Final = "verify aksk signature fail"


@dataclass(slots=True, kw_only=True)
class Record:
    """What a key has to its name."""

    wrong: int = 0
    in_a_row: int = 0
    locked_until_us: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Signer:
    """Whose key it is."""

    secret: str
    principal: str
    account: Account


class Gate:
    """Lets in whom it knows; the `Authenticator` the simulator has unless it is given another."""

    def __init__(self, world: World, directory: Directory, passes: Passes) -> None:
        self._world = world
        self._directory = directory
        self._passes = passes
        self._anybody = AnyCredential()
        self._records: dict[str, Record] = {}

    def check(
        self, method: str, raw_path: str, headers: Mapping[str, str], body: bytes
    ) -> str | Rejected:
        """Return the name of who asks, or why the request is refused."""
        auth = self._world.options.auth
        if auth == "none":
            return self._anybody.check(method, raw_path, headers, body)
        token = headers.get("X-Auth-Token")
        if token is not None and auth != "aksk":
            return self._by_token(token, raw_path)
        signed = headers.get("Authorization")
        if signed is not None and auth != "token":
            asked = Asked(method=method, raw_path=raw_path, headers=headers, body=body)
            return self._by_signature(signed, asked)
        return unauthenticated("x-auth-token not found")

    def token(self, text: str) -> Token | Rejected:
        """Return a token that counts, or why it does not."""
        token = self._passes.token(text)
        if token is None:
            return unauthenticated("decrypt token fail")
        if token.expires_us <= self._world.clock.now_us():
            return unauthenticated(
                f"token expires, expires_at: {in_microseconds(token.expires_us)}"
            )
        return token

    def record(self, access: str) -> Record:
        """Return what a key has to its name."""
        return self._records.get(access, Record())

    @property
    def bad_signatures(self) -> int:
        """Signatures of known keys that were wrong, since the start."""
        return sum(record.wrong for record in self._records.values())

    def unlock(self) -> None:
        """Let every key start afresh."""
        for record in self._records.values():
            record.in_a_row = record.locked_until_us = 0

    def _by_token(self, text: str, raw_path: str) -> str | Rejected:
        token = self.token(text)
        if isinstance(token, Rejected):
            return token
        project_id = _project_in(raw_path)
        refused = None if project_id is None else self._token_is_for(token, project_id)
        return refused or token.principal

    def _token_is_for(self, token: Token, project_id: str) -> Rejected | None:
        project = token.project
        if project is None:
            message = "The token does not contain a project."
            return Rejected(status=401, code="ModelArts.0207", message=message)
        if project.region != self._world.options.region:
            return Rejected(status=401, code="APIG.0307", message="The token must be updated.")
        return None if project.id == project_id else _another_project()

    def _by_signature(self, authorization: str, asked: Asked) -> str | Rejected:
        claim = claim_of(authorization)
        now_us = self._world.clock.now_us()
        if claim is None:
            return unauthenticated(_NOT_SIGNED)
        if self.record(claim.access).locked_until_us > now_us:
            return unauthenticated("AK access failed to reach the limit,forbidden")
        signer = self._signer(claim.access, asked, now_us)
        if isinstance(signer, Rejected):
            return signer
        refused = self._out_of_time(asked, now_us)
        if refused is not None:
            return refused
        if not is_signed(claim, asked, signer.secret):
            self._count_wrong(claim.access, now_us)
            told = canonical(claim, asked).decode("utf-8", "replace").replace("\n", "|")
            return unauthenticated(f"{_NOT_SIGNED}, canonicalRequest:{told}")
        if (record := self._records.get(claim.access)) is not None:
            record.in_a_row = 0
        return self._key_is_for(signer, asked) or signer.principal

    def _signer(self, access: str, asked: Asked, now_us: int) -> _Signer | Rejected:
        if (key := self._directory.key(access)) is not None:
            user = key.user
            return _Signer(secret=key.secret, principal=user.name, account=user.account)
        temporary = self._passes.key(access)
        sent = asked.headers.get(SECURITY_TOKEN)
        if temporary is None or sent is None:
            return unauthenticated(f"Get secretKey failed,ak:{access},err:ak not exist")
        # The texts for a security token are not published; those of a token stand in.
        if not hmac.compare_digest(_raw(sent), temporary.security_token.encode()):
            return unauthenticated("decrypt token fail")
        if temporary.expires_us <= now_us:
            until = in_microseconds(temporary.expires_us)
            return unauthenticated(f"token expires, expires_at: {until}")
        return _Signer(
            secret=temporary.secret, principal=temporary.principal, account=temporary.account
        )

    def _out_of_time(self, asked: Asked, now_us: int) -> Rejected | None:
        at_us = signed_us(asked.headers)
        skew_us = seconds_to_us(self._world.options.skew_s)
        if at_us is not None and abs(at_us - now_us) <= skew_us:
            return None
        told = asked.headers.get(DATE, "").encode("ascii", "replace").decode()
        message = (
            "Incorrect app authentication information: signature expired, "
            f"signature time:{told},server time:{stamp(now_us)}"
        )
        return Rejected(status=401, code="APIG.0303", message=message)

    def _count_wrong(self, access: str, now_us: int) -> None:
        record = self._records.setdefault(access, Record())
        record.wrong += 1
        record.in_a_row += 1
        if record.in_a_row > LOCKED_AFTER:
            record.in_a_row = 0
            record.locked_until_us = now_us + seconds_to_us(self._world.options.lock_s)

    def _key_is_for(self, signer: _Signer, asked: Asked) -> Rejected | None:
        project_id = _project_in(asked.raw_path)
        if project_id is None:
            return None
        if asked.headers.get("X-Project-Id", project_id) != project_id:
            return _another_project()
        owner = self._directory.owner(project_id)
        if owner is None or owner == signer.account:
            return None
        # The exact code is unpublished.
        message = "The IAM user is not allowed to access the API"
        return Rejected(status=403, code="APIG.0302", message=message)


def bearer_of(token: Token) -> Bearer:
    """Return who holds the token."""
    return Bearer(principal=token.principal, account=token.account, project=token.project)


def _another_project() -> Rejected:
    message = "The project ID in the URL is different from that in the token."
    return Rejected(status=403, code="ModelArts.0210", message=message)


def _project_in(raw_path: str) -> str | None:
    """Return the project a ModelArts path names; None for the paths of IAM."""
    parts = raw_path.partition("?")[0].split("/", 3)
    return unquote(parts[2]) if len(parts) == 4 and parts[1] in {"v1", "v2"} else None


def _raw(text: str) -> bytes:
    """Return a header's value as bytes, whatever was in it."""
    return text.encode("utf-8", "surrogateescape")
