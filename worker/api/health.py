"""Is the process alive, may it be sent calls, and what is it?

The cloud being away makes neither fail: a restart would not bring it back.
"""

from typing import Final

from jobs.catalogue.entries import Language
from jobs.catalogue.lookup import named
from jobs.errors import NothingMatchedError
from jobs.refusals import DrainingError
from worker.api.calls import Asked, Reply
from worker.api.rooms import Rooms
from worker.telling.catalogue import entry_fields

PROBE: Final = "api-ready"
"""The duty that a probe writes down: what cannot be written is not ready."""


async def show_alive(_rooms: Rooms, _asked: Asked) -> Reply:
    """Say that the process serves calls."""
    return Reply(body={"status": "ok"})


async def show_ready(rooms: Rooms, _asked: Asked) -> Reply:
    """Say that the store can be written and the server stays."""
    if rooms.standing.draining:
        raise DrainingError("the server is about to leave")
    if rooms.settings.server.read_only:
        await rooms.store.facts()
    else:
        await rooms.store.take_turn(PROBE, every_s=1.0)
    return Reply(body={"status": "ready"})


async def show_version(rooms: Rooms, _asked: Asked) -> Reply:
    """Say which program this is."""
    info = rooms.document()["info"]
    return Reply(body={"name": "plugwave", "version": info["version"]})


async def show_document(rooms: Rooms, _asked: Asked) -> Reply:
    """Return the document of the interface."""
    return Reply(body=rooms.document())


async def explain_code(_rooms: Rooms, asked: Asked) -> Reply:
    """Explain a code of ours or of the cloud."""
    code = asked.path["code"]
    found = named(code)
    if not found:
        raise NothingMatchedError("this code is not in our catalogue", do="plugwave explain CODE")
    entries = [entry_fields(one, Language.EN) for one in found]
    return Reply(body={"code": code, "language": Language.EN.value, "entries": entries})
