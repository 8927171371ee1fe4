"""The routes of plans and rollouts; as `worker.api.routes`."""

from collections.abc import Sequence
from typing import Final

from worker.api import bodies, plans, rollout_shapes, rollouts
from worker.api.calls import JSON, YAML, Answer, Body, KeyRule, Route
from worker.api.keys import REPLAYED
from worker.api.terms import APPROVE, OPERATE_FLEET, VIEW_FLEET

SMALL_BYTES: Final = 16 * 1024
MANIFEST_BYTES: Final = 256 * 1024
"""As in files."""

ROLLOUTS_PATH: Final = "/api/v1/rollouts"
ROLLOUT: Final = f"{ROLLOUTS_PATH}/{{rollout}}"
REASON: Final = Body(model=bodies.ReasonBody, limit_bytes=SMALL_BYTES, optional=True)
HELD: Final = Answer(status=200, model=rollout_shapes.RolloutHeld, text="The rollout.")
ORDERED: Final = Answer(
    status=200, model=rollout_shapes.Ordered, text="The rollout after the order."
)

ROLLOUTS: Final[Sequence[Route]] = (
    Route(
        name="listRollouts",
        method="GET",
        path=ROLLOUTS_PATH,
        needs=VIEW_FLEET,
        handler=rollouts.list_rollouts,
        text="List rollouts, newest first.",
        query=bodies.ListQuery,
        answers=(Answer(status=200, model=rollout_shapes.Rollouts, text="Rollouts."),),
    ),
    Route(
        name="showRollout",
        method="GET",
        path=ROLLOUT,
        needs=VIEW_FLEET,
        handler=rollouts.show_rollout,
        text="Show a rollout, its waves, and what holds it.",
        answers=(HELD,),
    ),
    Route(
        name="waitForRollout",
        method="GET",
        path=f"{ROLLOUT}:wait",
        needs=VIEW_FLEET,
        handler=rollouts.wait_for_rollout,
        text="Answer when the rollout has ended, or the time is over: look at `finished_at`.",
        query=bodies.WaitQuery,
        answers=(HELD,),
    ),
    Route(
        name="pauseRollout",
        method="POST",
        path=f"{ROLLOUT}:pause",
        needs=OPERATE_FLEET,
        handler=rollouts.pause_rollout,
        text="Let a rollout start nothing more; what is in flight ends.",
        body=REASON,
        refuses=(409,),
        answers=(ORDERED,),
    ),
    Route(
        name="resumeRollout",
        method="POST",
        path=f"{ROLLOUT}:resume",
        needs=OPERATE_FLEET,
        handler=rollouts.resume_rollout,
        text="Let a paused rollout go on; its rules count anew.",
        body=REASON,
        refuses=(409,),
        answers=(ORDERED,),
    ),
    Route(
        name="abortRollout",
        method="POST",
        path=f"{ROLLOUT}:abort",
        needs=OPERATE_FLEET,
        handler=rollouts.abort_rollout,
        text="End a rollout: what has not started never does, what is in flight ends.",
        body=REASON,
        refuses=(409,),
        answers=(ORDERED,),
    ),
    Route(
        name="approveRollout",
        method="POST",
        path=f"{ROLLOUT}:approve",
        needs=APPROVE,
        handler=rollouts.approve_rollout,
        text="Approve a wave of a rollout, bound to its plan.",
        body=Body(model=rollouts.ApproveBody, limit_bytes=SMALL_BYTES, optional=True),
        refuses=(409,),
        answers=(ORDERED,),
    ),
)

PLANS_PATH: Final = "/api/v1/plans"
MANIFEST: Final = Body(
    model=plans.ManifestBody, limit_bytes=MANIFEST_BYTES, media=(YAML, JSON), depth=None
)

PLANS: Final[Sequence[Route]] = (
    Route(
        name="makePlan",
        method="POST",
        path=PLANS_PATH,
        needs=OPERATE_FLEET,
        handler=plans.make_plan,
        text="Plan a rollout manifest for the fleet as it is now; asks the cloud, changes nothing.",
        body=MANIFEST,
        refuses=(404, 409),
        answers=(
            Answer(
                status=201,
                model=rollout_shapes.PlanShape,
                text="The plan, which is kept.",
                headers=("Location",),
            ),
        ),
    ),
    Route(
        name="showPlan",
        method="GET",
        path=f"{PLANS_PATH}/{{plan}}",
        needs=VIEW_FLEET,
        handler=plans.show_plan,
        text="Show a plan by its digest, of which the first 6 characters may do.",
        refuses=(409,),
        answers=(Answer(status=200, model=rollout_shapes.PlanShape, text="The plan."),),
    ),
    Route(
        name="startRollout",
        method="POST",
        path=ROLLOUTS_PATH,
        needs=OPERATE_FLEET,
        handler=plans.start_rollout,
        text="Begin a plan, unless the fleet has moved since it was made.",
        body=Body(model=plans.StartBody, limit_bytes=SMALL_BYTES),
        key=KeyRule.OPTIONAL,
        refuses=(404, 409),
        answers=(
            Answer(
                status=202,
                model=rollout_shapes.Begun,
                text="The rollout; with `again`, as it is now.",
                headers=("Location", REPLAYED),
            ),
        ),
    ),
)
