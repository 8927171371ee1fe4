"""The kinds of work that are measured: what a job asks of the cloud, and how it is set.

`POST`: one request a job.  The cloud refuses it in a known envelope, which ends the job; there
is no other way for a plugwave job to end without a look, because it never trusts an answer.
`SEND`: one request, accepted, and the one look that proves it: nobody read first, so the look
must come ten seconds later (reliability notes, section 3.2).
`WALK`: the default: read, send, an early look and the look that confirms it.
`SETTLE`: the same with the default intervals between looks, on plug-ins that take 3 to 20
seconds: how often is looked, and how long after a plug-in has settled its job ends.

The bare loop and the peers make the same requests with the same bytes.
"""

from dataclasses import dataclass
from typing import Final

PROJECT: Final = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"

BODY: Final = (
    b'{"apiVersion":"v2","kind":"Plugin","metadata":{"name":"node-local-dns"},"spec":{"template":'
    b'{"name":"node-local-dns","version":"1.6.36","inputs":{"custom":{"ndots":"5","cache_ttl":"30",'
    b'"stub_domains":"corp.example=10.0.0.53,lab.example=10.0.1.53"},"flavor":{"name":"HA",'
    b'"replicas":2,"resources":[{"name":"node-local-dns","limitsCpu":"500m"}]}}}}}'
)
"""Some 330 bytes, as in the measurements of the performance notes."""

REFUSED: Final = "refused"
"""Pools whose names begin so are unknown to the server, which then refuses a POST."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One kind of work.

    Attributes:
        name: What it is called on the command line and in the figures.
        title: What a job does, in words.
        pattern: The requests of one job in order: G is a read, P the send.
        pool: How its pools' names begin; decides what the server answers.
        read_first: `cloud.read_first`.
        base: `plugin.base` of its jobs.
        poll_first: `cloud.poll_first`.
    """

    name: str
    title: str
    pattern: str
    pool: str
    read_first: str
    base: str
    poll_first: str


POST: Final = Work(
    name="post",
    title="one POST, which ends the job",
    pattern="P",
    pool=REFUSED,
    read_first="when-unsure",
    base="empty",
    poll_first="5s",
)
SEND: Final = Work(
    name="send",
    title="one POST and one look",
    pattern="PG",
    pool="send",
    read_first="when-unsure",
    base="empty",
    poll_first="10.1s",
)
WALK: Final = Work(
    name="walk",
    title="read, send, two looks",
    pattern="GPGG",
    pool="walk",
    read_first="always",
    base="current",
    poll_first="0.2s",
)
SETTLING: Final = "settle"
"""Pools whose names begin so settle late."""

SETTLE: Final = Work(
    name="settle",
    title="read, send, looks at the default intervals",
    pattern="GPGG",
    pool=SETTLING,
    read_first="always",
    base="current",
    poll_first="5s",
)
WORKS: Final = {work.name: work for work in (POST, SEND, WALK)}
"""What is compared with the bare loop."""

ALL: Final = WORKS | {SETTLE.name: SETTLE}
