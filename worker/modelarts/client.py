"""The calls, one typed method each: no retries, no waiting, no decisions.

Every method returns what the cloud told, or an `Answer` that says how the request ended
(`jobs.outcomes` says what follows).  It raises nothing but cancellation.  A success that
cannot be read is an outcome of its own: a read error is not a state.
"""

from collections.abc import Callable
from typing import Final, TypeVar

from yarl import URL

from jobs.clock import Clock
from jobs.model import PoolRead, Target
from jobs.names import is_name
from jobs.outcomes import Answer, Outcome
from worker.modelarts.auth import Authorizer, secrets_in
from worker.modelarts.errors import classify_status, request_id
from worker.modelarts.faults import NotSendableError, UnreadableError
from worker.modelarts.models import read_plugin, read_plugin_list, template_in, to_seen
from worker.modelarts.outcomes_of_exceptions import answer_of_exception
from worker.modelarts.pools import PoolPage, PoolSeen, read_pool, read_pool_page
from worker.modelarts.reading import Document, document
from worker.modelarts.templates import PluginTemplate, read_templates
from worker.modelarts.transport import Gate, RawAnswer, Transport
from worker.modelarts.urls import Urls

T = TypeVar("T")

ACCEPTED: Final = frozenset({200, 201, 202})
"""The documentation has 200 alone; other clients accept all three."""

READ: Final = frozenset({200})
