"""Whether a finite run has ended: nothing is left for it, nobody lets it in, or nobody answers.

What is left is counted by account.  Jobs of profiles that this worker does not serve are left
to others, and those of a refused credential wait until it is mended; neither keeps the run
going, and neither ends it while another account has work.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence

import structlog

from jobs.errors import CloudUnreachableError, CredentialsRefusedError, PlugwaveError
from jobs.outcomes import Answer
from jobs.store.protocol import WorkStore
from worker.hand import Hand
from worker.troubles import Troubles

log = structlog.get_logger()


class Prospects:
    """What `work --until-empty` may still hope for."""

    def __init__(
        self,
        store: WorkStore,
        troubles: Troubles,
        credentials: Mapping[str | None, str],
        *,
        unreachable_after_s: float,
        rests: Sequence[Callable[[], Awaitable[bool]]] = (),
        halted: Callable[[], bool] = lambda: False,
    ) -> None:
        """Take what tells.

        Args:
            store: Knows what is left.
            troubles: Knows who is refused, and who does not answer.
            credentials: The credential's name for each profile that is served.
            unreachable_after_s: How long an endpoint may give no answer.
            rests: Each tells whether its part would bring no job now by itself.
            halted: Tells whether somebody has stopped the whole line.
        """
        self._store = store
        self._troubles = troubles
        self._credentials = credentials
        self._unreachable_after_s = unreachable_after_s
        self._rests = rests
        self._halted = halted
        self.failure: PlugwaveError | None = None

    async def ended(self, hand: Hand) -> bool:
        """Whether the run is over; `failure` says then what went wrong, if anything did."""
        if self._troubles.hopeless(self._unreachable_after_s):
            self.failure = self._unreachable()
            return True
        refused = self._refused()
        if any(held.job.request.profile not in refused for held in hand) if refused else len(hand):
            return False
        if self._halted():
            return True
        # Asked before the jobs are counted: what comes in between is among them.
        for rests in self._rests:
            if not await rests():
                return False
        served = self._credentials
        left = await self._store.left_by_profile()
        if any(left.get(profile) for profile in served if profile not in refused):
            return False
        others = {profile: count for profile, count in left.items() if profile not in served}
        if others:
            log.info("work.left", profiles=others)
        met = [answer for profile, answer in refused.items() if left.get(profile)]
        if met:
            self.failure = _refusal(met[0])
        return True

    def _refused(self) -> Mapping[str | None, Answer]:
        """Return the profiles whose credential is refused, and what the cloud said."""
        refused = self._troubles.refused
        if not refused:
            return {}
        return {
            profile: refused[credential]
            for profile, credential in self._credentials.items()
            if credential in refused
        }

    def _unreachable(self) -> PlugwaveError:
        last = self._troubles.last
        return CloudUnreachableError(
            self._troubles.sentence() or "no answer from the cloud",
            proof=last.message if last is not None else None,
        )


def _refusal(answer: Answer) -> PlugwaveError:
    told = (str(answer.http_status or ""), answer.error_code or "", answer.message)
    proof = " ".join(word for word in told if word)
    return CredentialsRefusedError("the cloud refused the credential", proof=proof)
