"""What comes next for a job: one pure function of (job, what was seen, time).

`next_move` looks at the job's state and asks the rule of that state.  Nothing in this
package waits, logs, stores or speaks HTTP; chance comes in as a seeded source.

    checking   read before writing: adopt, leave alone, wait, or send
    sending    what the answer to a send means (the table is `jobs.outcomes`)
    unknown    what a late-enough read proves about a lost answer
    watching   has it settled, on fresh evidence
"""

from jobs.decide.checking import after_check, first_look
from jobs.decide.rules import Answered, Move, Offered, Rules, Seen, Step, UpgradeCall
from jobs.decide.sending import after_send
from jobs.decide.unknown import after_late_read
from jobs.decide.watching import after_look
from jobs.model import Job
from jobs.states import JobState

__all__ = [
    "Answered",
    "Move",
    "Offered",
    "Rules",
    "Seen",
    "Step",
    "UpgradeCall",
    "first_look",
    "next_move",
]


def next_move(job: Job, seen: Seen, now_us: int, rules: Rules) -> Move:
    """Say what *seen* means for *job* at *now_us*.

    Raises:
        ValueError: If the job is in no worker's hands: then there is nothing to decide.
    """
    match job.state:
        case JobState.CHECKING:
            return after_check(job, seen, now_us, rules)
        case JobState.SENDING:
            return after_send(job, seen, now_us, rules)
        case JobState.UNKNOWN:
            return after_late_read(job, seen, now_us, rules)
        case JobState.WATCHING:
            return after_look(job, seen, now_us, rules)
        case _:
            message = f"nothing to decide for a job that is {job.state}"
            raise ValueError(message)
