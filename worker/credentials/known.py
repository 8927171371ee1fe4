"""The secrets that lie around, for whoever must keep them out of sight.

Used or not, complete or not: a log that masks only the credential in use would show the one
that is ignored.
"""

from collections.abc import Iterator

from config.settings import Settings
from jobs.errors import ConfigError
from worker.credentials.chain import choose
from worker.credentials.sources import Login, Source, Surroundings
from worker.credentials.variables import SECRET_VARIABLES
from worker.modelarts.keys import AccessKey, Token


def secrets_around(settings: Settings, around: Surroundings) -> tuple[str, ...]:
    """Return the texts that a redactor must know; never raises for a credential."""
    texts = {text for name in SECRET_VARIABLES if (text := around.get(name))}
    for profile in (None, *settings.profiles):
        try:
            source = choose(settings, around, profile).source
        except ConfigError:
            continue
        if source is not None:
            texts.update(_secrets_of(source))
    return tuple(sorted(texts))


def _secrets_of(source: Source) -> Iterator[str]:
    match source.proof:
        case AccessKey(access=access, secret=secret, security_token=token):
            yield from (access.reveal(), secret.reveal())
            if token is not None:
                yield token.reveal()
        case Token(secret=secret):
            yield secret.reveal()
        case Login(password=password):
            yield password.reveal()
        case _:
            return
