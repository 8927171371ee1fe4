"""The command line of the simulator, made from one table: option, form, words.

A name here is a field of `SimulatorOptions`; its default is the field's.  A test fails
when one of them is missing.
"""

from collections.abc import Callable, Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import Any, Final, get_args

import click

from worker.simulator.options import (
    AnswerShape,
    Auth,
    Metadata,
    PostMode,
    SimulatorOptions,
    Site,
    ValuesShape,
)
from worker.simulator.throttle import LimitKind, LimitScope

RATE: Final = click.FloatRange(0, 1)

_WORDS: Final[Mapping[str, tuple[Any, str]]] = MappingProxyType(
    {
        "projects": (int, "Projects."),
        "pools": (int, "Pools in each project."),
        "speed": (float, "Simulated seconds in a real second."),
        "seed": (int, "Names, faults and durations follow from it."),
        "region": (str, "What pools and generated jobs say."),
        "site": (click.Choice(get_args(Site)), "Which APIs there are."),
        "open_fleet": (bool, "Unknown projects and pools come into being."),
        "installed": (RATE, "Fraction of pools with plug-ins in their oldest version."),
        "odd_pools": (RATE, "Fraction that is Creating, Abnormal or frozen."),
        "workspaces": (int, "Workspaces; a pool outside of the first takes no plug-in."),
        "offer_gaps": (RATE, "Fraction of pools on which not everything is on offer."),
        "bad_pools": (RATE, "Fraction on which a change ends Abnormal."),
        "install_s": (float, "Shortest and longest install."),
        "upgrade_s": (float, "Shortest and longest upgrade."),
        "fail_s": (float, "How long a change on a bad pool takes to fail."),
        "creating_s": (float, "How long a Creating pool takes to be Running."),
        "lag_s": (float, "How long the old Running is still shown."),
        "unknown_phase": (RATE, "Fraction of changes that show an undocumented phase."),
        "post_mode": (click.Choice(get_args(PostMode)), "What a POST on an installed one does."),
        "keep_inputs": (bool, "Inputs that are not sent keep their value."),
        "answer_shape": (click.Choice(get_args(AnswerShape)), "What a create answer tells."),
        "answer_status": (int, "Status of an accepted create: 200, 201 or 202."),
        "values_shape": (click.Choice(get_args(ValuesShape)), "How inputs are told a second time."),
        "hide_inputs": (bool, "Lists tell neither inputs nor version."),
        "limit": (int, "Requests a credential may make in a window."),
        "limit_window_s": (float, "Real seconds of that window."),
        "limit_kind": (click.Choice(get_args(LimitKind)), "How requests are counted."),
        "limit_scope": (click.Choice(get_args(LimitScope)), "For whom they are counted."),
        "limit_unnamed": (bool, "A 429 tells neither limit nor window."),
        "retry_after": (bool, "A 429 carries Retry-After."),
        "daily_quota": (int, "Requests a credential may make in a day."),
        "lost_before": (RATE, "Connection reset before the effect."),
        "lost_after": (RATE, "Effect done, then connection reset."),
        "late": (RATE, "Connection reset, the effect comes later."),
        "late_s": (float, "How much later, in real seconds."),
        "error_before": (RATE, "500, 502, 503 or 504 without effect."),
        "error_after": (RATE, "The same with effect."),
        "html": (RATE, "An HTML page instead of an answer."),
        "truncated": (RATE, "Effect done, the answer breaks off."),
        "empty": (RATE, "Effect done, the answer is empty."),
        "wrong_type": (RATE, "Effect done, the answer has wrong types."),
        "slow": (RATE, "Effect done, the answer comes slowly."),
        "slow_s": (float, "How slowly, in real seconds."),
        "read_faults": (RATE, "A GET is answered 500, reset or cut."),
        "auth": (click.Choice(get_args(Auth)), "How a request must prove who asks."),
        "accounts": (int, "Accounts that own the projects."),
        "users": (int, "Users; requests are limited for each."),
        "key_pairs": (int, "Key pairs of the users, printed at the start."),
        "token_life_s": (float, "How long a token or temporary key lives, in real seconds."),
        "lock_s": (float, "How long six wrong signatures lock a key, in real seconds."),
        "skew_s": (float, "How far a signature's date may be off, in real seconds."),
        "metadata": (click.Choice(get_args(Metadata)), "What the metadata service does."),
        "iam_faults": (RATE, "A call to IAM is answered 503."),
    }
)


def simulator_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command one option for each field of `SimulatorOptions`."""
    defaults = {field.name: field.default for field in fields(SimulatorOptions)}
    for name in reversed(list(_WORDS)):
        function = _option(name, defaults[name])(function)
    return function


def _option(name: str, default: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:  # noqa: ANN401 - a field's default
    kind, words = _WORDS[name]
    flag = f"--{name.replace('_', '-')}"
    if kind is bool:
        return click.option(flag, is_flag=True, default=default, help=words)
    shown = default is not None
    if isinstance(default, tuple):
        return click.option(
            flag, type=kind, nargs=2, default=default, show_default=shown, help=words
        )
    return click.option(flag, type=kind, default=default, show_default=shown, help=words)
