"""`plugwave tokens create`, `list` and `revoke`: who may call the HTTP API."""

import secrets
from collections.abc import Mapping
from typing import Any

import click

from jobs.clock import iso, seconds_to_us
from jobs.store.access import Token
from worker.api.terms import Scope, Terms, terms_of
from worker.api.tokens import checked_name, digest_of, new_secret
from worker.cli.arguments import DurationType
from worker.cli.choices import Choices
from worker.cli.console import Console
from worker.cli.fleet import PLUGIN, PROJECT, REGION
from worker.cli.lazy import PlugwaveCommand
from worker.cli.printing import Column, Table, document
from worker.cli.rollouts import my_word
from worker.cli.session import reading, run_async, writing


@click.command(cls=PlugwaveCommand)
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice([scope.value for scope in Scope]),
    multiple=True,
    required=True,
    help="What it is for; repeatable.",
)
@click.option("--project", "projects", type=PROJECT, multiple=True, help="Only this project id.")
@click.option("--plugin", "plugins", type=PLUGIN, multiple=True, help="Only this plug-in.")
@click.option("--region", "regions", type=REGION, multiple=True, help="Only this region.")
@click.option("--per-minute", type=click.IntRange(min=1), help="Jobs it may queue in a minute.")
@click.option("--per-day", type=click.IntRange(min=1), help="Jobs it may queue in a day.")
@click.option("--expires", type=DurationType(), help="End it after this long, such as 90d.")
@click.pass_obj
def create(choices: Choices, /, name: str, expires: float | None, **terms: Any) -> None:  # noqa: ANN401 - click's values, named by Terms
    """Make a token and print it, once.

    It is kept as a hash; who loses it makes another. NAME becomes the source of its jobs.
    viewer sees; submit queues jobs and sees its own; operator does both, retries, cancels and
    steers rollouts; approver sees and approves.
    """
    made = Terms(
        scopes=frozenset(Scope(word) for word in terms["scopes"]),
        projects=frozenset(terms["projects"]),
        plugins=frozenset(terms["plugins"]),
        regions=frozenset(terms["regions"]),
        per_minute=terms["per_minute"],
        per_day=terms["per_day"],
    )
    run_async(_create, choices, checked_name(name), made, expires)


async def _create(choices: Choices, name: str, terms: Terms, expires_s: float | None) -> None:
    console = Console(choices)
    secret = new_secret(secrets.token_urlsafe)
    async with writing(choices) as store:
        now_us = await store.now_us()
        token = Token(
            name=name,
            digest=digest_of(secret),
            created_us=now_us,
            by=my_word(None).by,
            terms=terms.as_dict(),
            expires_us=None if expires_s is None else now_us + seconds_to_us(expires_s),
        )
        await store.access.add_token(token)
    if console.structured:
        document(console, {**token_fields(token), "token": secret})
        return
    console.out(name if choices.output == "name" else secret)
    console.say("Keep it now: it is not shown again. It goes into the header Authorization.")


@click.command("list", cls=PlugwaveCommand)
@click.pass_obj
def list_tokens(choices: Choices) -> None:
    """List the tokens, never their secrets."""
    run_async(_list, choices)


async def _list(choices: Choices) -> None:
    console = Console(choices)
    async with reading(choices) as store:
        found = await store.access.tokens()
        now_us = await store.now_us()
    if console.structured:
        document(console, {"tokens": [token_fields(token) for token in found]})
        return
    columns = ("TOKEN", "STATE", "SCOPES", "LIMITS", "MADE", "BY")
    table = Table(console, [Column(title=title) for title in columns])
    for token in found:
        if choices.output == "name":
            console.out(token.name)
            continue
        terms = terms_of(token.terms)
        state = "live" if token.is_live(now_us) else "revoked" if token.revoked_us else "ended"
        limits = _limits(terms)
        made = console.moment(token.created_us)
        table.row([token.name, state, ", ".join(sorted(terms.scopes)), limits, made, token.by])
    table.close()
    if not found and choices.output == "table":
        console.say("there are no tokens yet: plugwave tokens create NAME --scope SCOPE")


def _limits(terms: Terms) -> str:
    counts = (
        (len(terms.projects), "projects"),
        (len(terms.plugins), "plug-ins"),
        (len(terms.regions), "regions"),
        (terms.per_minute or 0, "a minute"),
        (terms.per_day or 0, "a day"),
    )
    return ", ".join(f"{count} {word}" for count, word in counts if count) or "-"


@click.command(cls=PlugwaveCommand)
@click.argument("name")
@click.pass_obj
def revoke(choices: Choices, name: str) -> None:
    """End a token now; servers follow within two seconds."""
    run_async(_revoke, choices, name)


async def _revoke(choices: Choices, name: str) -> None:
    console = Console(choices)
    async with writing(choices) as store:
        token = await store.access.revoke_token(name)
    if console.structured:
        document(console, token_fields(token))
    elif choices.output == "name":
        console.out(token.name)
    else:
        console.out(f"{token.name} is revoked since {iso(token.revoked_us)}")


def token_fields(token: Token) -> Mapping[str, Any]:
    """Return a token as JSON shows it, without anything that opens something."""
    return {
        "name": token.name,
        **terms_of(token.terms).as_dict(),
        "created_at": iso(token.created_us),
        "by": token.by,
        "expires_at": iso(token.expires_us),
        "revoked_at": iso(token.revoked_us),
    }
