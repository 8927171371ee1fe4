"""The calls that change a plug-in: what they do to the pool, and what they answer.

Whether a write is answered is not decided here: a fault may lose the answer of what was
done, or do it later (`worker.simulator.cloud`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final, Protocol

from worker.simulator import shapes
from worker.simulator.answers import (
    ALREADY_EXISTS,
    IN_OPERATION,
    NOT_AUTHORISED,
    POOL_INITIALISING,
    POOL_NOT_RUNNING,
    Answer,
    absent_plugin,
    bad_request,
    document,
    refusal,
    unknown_pool,
    unknown_template,
)
from worker.simulator.catalogue import CATALOGUE
from worker.simulator.chance import chance
from worker.simulator.fleet import DEFAULT_WORKSPACE, Condition, Pool
from worker.simulator.inputs import defaults, merged
from worker.simulator.offers import offered
from worker.simulator.routes import Call
from worker.simulator.state import (
    Change,
    ChangeKind,
    Decision,
    Plugin,
    decide,
    installing,
    is_busy,
    view,
)
from worker.simulator.wishes import Wish
from worker.simulator.world import Visit, World


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What a write did.

    Attributes:
        answer: What it would be answered with.
        applied: Whether an operation was started.
        overlap: Whether another one was under way on that pool.
        version: Where the operation leads.
    """

    answer: Answer
    applied: bool = False
    overlap: bool = False
    version: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scene:
    """A write that makes sense, about to be carried out."""

    world: World
    pool: Pool
    wish: Wish
    at_us: int
    now_s: float
    plugin: Plugin | None


class _Write(Protocol):
    def __call__(self, scene: _Scene) -> Done: ...


def perform(world: World, visit: Visit, at_us: int) -> Done:
    """Carry out the write at *at_us* and say what it did."""
    pool = world.find(visit.place)
    if pool is None:
        return Done(answer=unknown_pool(visit.place.pool_name or ""))
    if visit.wish is None or visit.place.call is None:
        assert visit.objection is not None
        return Done(answer=visit.objection)
    now_s = world.timeline.at(at_us)
    objection = _objection(world, pool, visit) or _not_ready(world.condition(pool, now_s))
    if objection is not None:
        return Done(answer=objection)
    plugin = pool.plugin(visit.wish.name, now_s)
    scene = _Scene(world=world, pool=pool, wish=visit.wish, at_us=at_us, now_s=now_s, plugin=plugin)
    return _WRITES[visit.place.call](scene)


def _objection(world: World, pool: Pool, visit: Visit) -> Answer | None:
    """Return why nobody may do that on this pool, now or later."""
    wish = visit.wish
    assert wish is not None
    if wish.name not in CATALOGUE:
        return unknown_template(wish.name)
    if pool.workspace != DEFAULT_WORKSPACE:
        # Rights on a workspace are given one by one, and these credentials have none.
        return refusal(403, NOT_AUTHORISED, "You are not authorized to perform this operation.")
    if visit.place.call is Call.DELETE:
        return None
    versions = offered(world, pool, wish.name)
    if not versions:
        # The exact code is unpublished.
        return bad_request(f"Plugin {wish.name} cannot be installed on this pool.")
    if wish.version is not None and all(wish.version != version for version, _ in versions):
        return bad_request(f"Plugin {wish.name} has no version {wish.version}.")
    return None


def _newest(scene: _Scene) -> str:
    """Return the version that is meant when none is asked for."""
    return offered(scene.world, scene.pool, scene.wish.name)[-1][0]


def _not_ready(condition: Condition) -> Answer | None:
    match condition:
        case Condition.CREATING:
            return refusal(400, POOL_INITIALISING, "The pool is being initialized. Try again.")
        case Condition.ABNORMAL:
            return refusal(400, POOL_NOT_RUNNING, "The pool is not running.")
        case Condition.FROZEN:
            # The exact code is unpublished.
            return bad_request("The pool is frozen.")
        case Condition.ORDINARY:
            return None


def _create(scene: _Scene) -> Done:
    wish = scene.wish
    match decide(scene.plugin, scene.now_s, scene.world.options.post_mode):
        case Decision.BUSY:
            return Done(answer=_busy(wish.name))
        case Decision.EXISTS_409:
            return Done(answer=refusal(409, ALREADY_EXISTS, f"Plugin {wish.name} already exists."))
        case Decision.EXISTS_400:
            return Done(answer=bad_request(f"Plugin {wish.name} already exists."))
        case Decision.IGNORE:
            assert scene.plugin is not None
            return Done(answer=_ignored(scene, scene.plugin))
        case Decision.INSTALL:
            version = wish.version or _newest(scene)
            return _begin(scene, ChangeKind.INSTALL, version)
        case Decision.UPGRADE:
            version = wish.version or _newest(scene)
            return _begin(scene, ChangeKind.UPGRADE, version)


def _patch(scene: _Scene) -> Done:
    plugin = scene.plugin
    if plugin is None:
        return Done(answer=absent_plugin(scene.wish.name))
    if is_busy(plugin, scene.now_s):
        return Done(answer=_busy(plugin.name))
    version = scene.wish.version or plugin.wanted
    done = _begin(scene, ChangeKind.UPGRADE, version)
    # The documented answer has nothing but the spec.
    return replace(done, answer=document({"spec": _spec(scene.pool.plugins[plugin.name])}))


def _delete(scene: _Scene) -> Done:
    plugin = scene.plugin
    if plugin is None:
        return Done(answer=absent_plugin(scene.wish.name))
    if not CATALOGUE[plugin.name].removable:
        # The exact code is unpublished.
        return Done(answer=bad_request("A default plug-in cannot be uninstalled."))
    if is_busy(plugin, scene.now_s):
        return Done(answer=_busy(plugin.name))
    # The documented answer shows the plug-in as it was before.
    before = shapes.plugin(scene.pool, plugin, view(plugin, scene.now_s), scene.world.options)
    return replace(_begin(scene, ChangeKind.DELETE, plugin.version), answer=document(before))


_WRITES: Final[Mapping[Call, _Write]] = MappingProxyType(
    {Call.CREATE: _create, Call.PATCH: _patch, Call.DELETE: _delete}
)


def _begin(scene: _Scene, kind: ChangeKind, version: str) -> Done:
    """Start an operation; the pool shows it from then on."""
    pool, name = scene.pool, scene.wish.name
    overlap = pool.is_moving(scene.now_s)
    change = _change(scene, kind, version)
    if kind is ChangeKind.INSTALL:
        plugin = installing(name, change, scene.at_us)
    else:
        assert scene.plugin is not None
        plugin = replace(scene.plugin, change=change)
    pool.plugins[name] = plugin
    pool.operations[name] = pool.operations.get(name, 0) + 1
    pool.overlaps += overlap
    return Done(answer=_created(scene, plugin), applied=True, overlap=overlap, version=version)


def _change(scene: _Scene, kind: ChangeKind, version: str) -> Change:
    """Return the operation with all that fate has in store for it."""
    options, pool, name = scene.world.options, scene.pool, scene.wish.name
    dice = (options.seed, pool.project_id, pool.name, name, pool.operations.get(name, 0))
    shortest, longest = options.upgrade_s if kind is ChangeKind.UPGRADE else options.install_s
    lasts_s = shortest + (longest - shortest) * chance("lasts", *dice)
    broken = None
    if kind is not ChangeKind.DELETE and scene.world.fleet.luck("bad", pool) < options.bad_pools:
        broken = f"ImagePullBackOff: cannot pull image {name}:{version}"
        lasts_s = options.fail_s
    lag_s = options.lag_s if kind is ChangeKind.UPGRADE else 0.0
    return Change(
        kind=kind,
        version=version,
        inputs=_inputs(scene, kind),
        shown_s=scene.now_s + lag_s,
        ends_s=scene.now_s + lag_s + lasts_s,
        broken=broken,
        odd=chance("odd-phase", *dice) < options.unknown_phase,
    )


def _inputs(scene: _Scene, kind: ChangeKind) -> Mapping[str, Any]:
    """Return the inputs the operation leads to: what is not sent is reset, or kept if told to."""
    plugin = scene.plugin
    if plugin is not None and kind is ChangeKind.DELETE:
        return plugin.inputs
    keep = plugin is not None and scene.world.options.keep_inputs
    base = plugin.inputs if plugin is not None and keep else defaults(scene.wish.name)
    return merged(base, scene.wish.inputs or {})


def _created(scene: _Scene, plugin: Plugin) -> Answer:
    """Return the answer of an accepted create, in the shape that is asked for."""
    options = scene.world.options
    if options.answer_shape == "full":
        seen = view(plugin, scene.now_s)
        told = shapes.plugin(scene.pool, plugin, seen, options)
    else:
        told = {"apiVersion": "v2", "kind": "Plugin", "spec": _spec(plugin)}
    return document(told, options.answer_status)


def _ignored(scene: _Scene, plugin: Plugin) -> Answer:
    """Return an answer that looks accepted, although nothing was done."""
    version = scene.wish.version or _newest(scene)
    pretended = replace(plugin, change=_change(scene, ChangeKind.UPGRADE, version))
    return _created(scene, pretended)


def _spec(plugin: Plugin) -> dict[str, Any]:
    """Return the spec that a change leads to, or the present one."""
    if plugin.change is None:
        return shapes.spec(plugin.name, plugin.wanted, plugin.inputs)
    return shapes.spec(plugin.name, plugin.change.version, plugin.change.inputs)


def _busy(name: str) -> Answer:
    return refusal(409, IN_OPERATION, f"Plugin {name} is being operated on. Try again later.")
