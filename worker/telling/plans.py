"""A plan as JSON shows it."""

import copy
from typing import Any

from config.masking import clean_text, mask_text, masked_inputs
from jobs.rollouts.actions import Action
from jobs.rollouts.plan import Plan, document


def plan_fields(plan: Plan) -> dict[str, Any]:
    """Return the plan as JSON shows it: the manifest's inputs are masked."""
    fields = document(plan)
    fields.pop("schema")
    manifest = copy.deepcopy(fields["manifest"])
    inputs = manifest["spec"]["plugin"]["inputs"]
    inputs["merge"] = masked_inputs(inputs["merge"])
    counts = {action.value: len(plan.of(action)) for action in Action}
    rows = [
        {**row, "why": _maybe(row["why"]), "note": _maybe(row["note"])} for row in fields["rows"]
    ]
    return {**fields, "manifest": manifest, "rows": rows, "counts": counts}


def _maybe(text: str | None) -> str | None:
    return None if text is None else clean_text(mask_text(text))
