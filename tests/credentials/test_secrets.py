"""No secret is ever seen: planted ones, in every source, looked for in everything we show."""

import copy
import dataclasses
import io
import json
import pickle
import pprint
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
import structlog
from rich.console import Console
from yarl import URL

from config.logs import configure, reset
from config.settings import LogSettings
from jobs.errors import ConfigError
from tests import planted
from tests.builders import NOON_US
from tests.credentials.surroundings import FakeFetcher, Machine, raw, settings, wired
from tests.fakes import FakeClock
from tests.modelarts.scripted import cloud, http
from worker.credentials.chain import choose
from worker.credentials.fetching import Request
from worker.credentials.known import secrets_around
from worker.credentials.renewing import Renewing
from worker.credentials.sources import Source
from worker.credentials.wallet import Wallet
from worker.modelarts.auth import AkSkAuth, Fixed, NoCredentialError, TokenAuth
from worker.modelarts.keys import AccessKey, Secret, Token, short_key

ACCESS = planted.ACCESS_KEY
SECRET = planted.SECRET_KEY
SECURITY = planted.SECURITY_TOKEN
PASSWORD = planted.PASSWORD
IAM_TOKEN = planted.TOKEN
PLANTED = (ACCESS, SECRET, SECURITY, PASSWORD, IAM_TOKEN)

KEY = AccessKey.of(ACCESS, SECRET, SECURITY)
TOKEN = Token.of(IAM_TOKEN)


def everything(machine: Machine) -> Machine:
    """Plant a secret in every source there is."""
    machine.set({"HUAWEICLOUD_SDK_AK": ACCESS, "HUAWEICLOUD_SDK_SK": SECRET})
    machine.set({"HUAWEICLOUD_SDK_SECURITY_TOKEN": SECURITY, "HW_AUTH_TOKEN": IAM_TOKEN})
    machine.set({"HW_USER_NAME": "n", "HW_USER_PASSWORD": PASSWORD, "HW_DOMAIN_NAME": "d"})
    machine.set({"HW_ACCESS_KEY": ACCESS, "HW_SECRET_KEY": SECRET})
    machine.set({"CLOUD_SDK_AK": ACCESS, "CLOUD_SDK_SK": SECRET})
    machine.sdk_file(f"[basic]\nak={ACCESS}\nsk={SECRET}\n")
    return machine.koocli(accessKeyId=ACCESS, secretAccessKey=SECRET)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Return a machine that is full of secrets."""
    return everything(Machine(tmp_path))


def rich(value: object) -> str:
    """Return what rich draws."""
    drawn = io.StringIO()
    Console(file=drawn, width=200).print(value)
    return drawn.getvalue()


def shown_in_a_traceback(value: object) -> str:
    """Return a traceback that shows the locals of its frames."""
    try:
        raise ValueError(value)
    except ValueError as error:
        told = traceback.TracebackException.from_exception(error, capture_locals=True)
        return "".join(told.format())


SHOWN: dict[str, Callable[[Any], str]] = {
    "repr": repr,
    "str": str,
    "format": lambda value: f"{value}",
    "percent": lambda value: "%r %s" % (value, value),  # noqa: UP031 - another way to show it
    "pprint": pprint.pformat,
    "rich": rich,
    "json": lambda value: json.dumps(value, default=str),
    "orjson": lambda value: orjson.dumps([str(value)]).decode(),
    "copy": lambda value: repr(copy.copy(value)),
    "deepcopy": lambda value: repr(copy.deepcopy(value)),
    "dir": lambda value: repr({name: getattr(value, name, None) for name in dir(value)}),
    "traceback": shown_in_a_traceback,
}


def objects() -> dict[str, object]:
    """Return one of everything that holds a secret."""
    around = {"HOME": "/", "HUAWEICLOUD_SDK_AK": ACCESS, "HUAWEICLOUD_SDK_SK": SECRET}
    surroundings = Machine(Path("/")).set(around).around
    source = choose(settings(), surroundings).source
    fetcher = FakeFetcher(lambda _: raw())
    held = Wallet(settings(), surroundings, fetcher)
    return {
        "secret": Secret(SECRET),
        "key": KEY,
        "token": TOKEN,
        "fixed": Fixed(KEY),
        "signer": AkSkAuth(Fixed(KEY)),
        "bearer": TokenAuth(IAM_TOKEN),
        "source": source,
        "surroundings": surroundings,
        "credential": held.get(),
        "wallet": held,
        "settings": settings(token=IAM_TOKEN),
    }


@pytest.mark.parametrize(
    ("what", "way"),
    # What pydantic and the environment have inside is theirs; they are not walked over.
    [
        (what, way)
        for what in objects()
        for way in SHOWN
        if way != "dir" or what not in {"settings", "surroundings"}
    ],
)
def test_whatever_holds_a_secret_does_not_show_it(what: str, way: str) -> None:
    """Printed, formatted, drawn, copied, or in a traceback with all its locals."""
    shown = SHOWN[way](objects()[what])

    assert [one for one in PLANTED if one in shown] == []


@pytest.mark.parametrize("value", [KEY, TOKEN], ids=["key", "token"])
def test_its_dict_shows_nothing(value: AccessKey | Token) -> None:
    """`dataclasses.asdict` copies what it finds; a secret stays one. There is no `vars`."""
    told = repr(dataclasses.asdict(value)) + repr(dataclasses.astuple(value))

    assert [one for one in PLANTED if one in told] == []
    with pytest.raises(TypeError):
        vars(value)
    with pytest.raises(TypeError):
        vars(value.secret)


HOLDERS = ["key", "token", "secret", "signer"]


@pytest.mark.parametrize("value", [KEY, TOKEN, Secret(SECRET), AkSkAuth(Fixed(KEY))], ids=HOLDERS)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_it_cannot_be_written_down(value: object, protocol: int) -> None:
    """A secret is not pickled, so it gets into no cache, queue or file."""
    with pytest.raises(TypeError) as caught:
        pickle.dumps(value, protocol)

    assert [one for one in PLANTED if one in str(caught.value)] == []


def test_an_access_key_is_seen_in_part() -> None:
    """First four and last four characters; a short one not at all."""
    assert KEY.short == short_key(ACCESS) == "AKQ7…0001"
    assert short_key("AKSHORT") == "…"
    assert short_key("") == "…"


@pytest.mark.parametrize("text", ["", " ", "a b", "a\n", "\u00e9", "a\x00b", "\u200b"])
@pytest.mark.parametrize("part", ["access", "secret", "security_token"])
def test_what_no_header_can_carry_is_refused_unseen(part: str, text: str) -> None:
    """The message names the part, and nothing of it."""
    if part == "security_token" and not text:
        return  # no security token at all is a lasting key
    parts = {"access": ACCESS, "secret": SECRET, "security_token": SECURITY, part: f"pln{text}"}
    if not text:
        parts[part] = ""

    with pytest.raises(ConfigError) as caught:
        AccessKey.of(parts["access"], parts["secret"], parts["security_token"])

    assert [one for one in (*PLANTED, "pln") if one in str(caught.value.as_dict())] == []


def test_no_error_of_the_chain_shows_a_secret(machine: Machine) -> None:
    """Break each source in turn; whatever is said about it shows nothing of it."""
    said = []
    for name in [one for one in machine.environ if one != "HOME"]:
        broken = Machine(machine.home)
        broken.environ = {**machine.environ, name: machine.environ[name] + " \n" + SECRET}
        for profile in (None, "env"):
            try:
                choose(settings({"env": {"credentials": "env"}}), broken.around, profile)
            except ConfigError as error:
                said.append("".join(traceback.format_exception(error)) + repr(error.as_dict()))

    assert len(said) >= 4
    assert [one for text in said for one in PLANTED if one in text] == []


async def test_no_exception_on_the_way_shows_a_secret() -> None:
    """IAM echoes everything it was sent; the whole chain of exceptions stays clean."""
    echo = {"error": {"code": 401, "message": f"bad {PASSWORD}", "title": "Unauthorized"}}
    async with cloud(http(401, echo)) as served, wired() as (fetcher, _):
        machine = Machine(Path("/nowhere"))
        machine.set({"HW_USER_NAME": "n", "HW_USER_PASSWORD": PASSWORD, "HW_DOMAIN_NAME": "d"})
        machine.set({"HW_REGION_NAME": "r", "HW_AUTH_URL": served.endpoint})
        authorizer = Wallet(settings(), machine.around, fetcher).get().authorizer
        with pytest.raises(NoCredentialError) as caught:
            await authorizer.ready(URL("https://h/v2/p/pools"))

    said = "".join(traceback.format_exception(caught.value)) + repr(caught.value.answer)
    assert PASSWORD.encode() in served.requests[0]
    assert PASSWORD not in said


async def test_no_log_line_shows_a_secret() -> None:
    """Renewing is logged; what was fetched is not, not even at the lowest level."""
    output = io.StringIO()
    clock = FakeClock()

    async def fetch() -> Token:
        return Token.of(IAM_TOKEN, expires_us=NOON_US + 86_400_000_000)

    try:
        configure(LogSettings.model_validate({"level": "debug"}), stream=output)
        held = Renewing(fetch, clock, "token from IAM")
        await held.ready()
        structlog.get_logger().info("auth.renewed", what=str(held.current()), until=repr(KEY))
    finally:
        reset()

    assert output.getvalue().count("auth.renewed") == 2
    assert [one for one in PLANTED if one in output.getvalue()] == []


def test_the_redactor_knows_every_secret_around(machine: Machine) -> None:
    """Those that are ignored too: a log that shows them is as bad."""
    machine.sdk_file("[basic]\nak=AKFILE000000000FILE6\nsk=secret-in-a-file\n")
    profiles = {
        "f": {"credentials": "file:~/.huaweicloud/credentials"},
        "g": {"credentials": "pod"},
    }

    known = secrets_around(settings(profiles), machine.around)

    assert set(PLANTED) <= set(known)
    assert "secret-in-a-file" in known
    assert "n" not in known


def test_what_is_incomplete_is_known_to_the_redactor_as_well() -> None:
    """Half a credential is half a secret."""
    around = Machine(Path("/nowhere")).set({"HUAWEICLOUD_SDK_SK": SECRET}).around

    assert secrets_around(settings(), around) == (SECRET,)


def test_a_request_for_a_credential_does_not_show_what_it_carries() -> None:
    """Headers, body and the texts to be masked are left out of its repr."""
    request = Request(
        who="w",
        what="x",
        method="POST",
        url=URL("https://h"),
        headers={"A": SECRET},
        body=PASSWORD.encode(),
        secrets=(SECURITY,),
    )

    assert [one for one in PLANTED if one in repr(request)] == []


def test_a_source_is_not_compared_by_its_secret() -> None:
    """Equality of keys would tell who can make keys whether a guess is right."""
    assert AccessKey.of(ACCESS, SECRET) != AccessKey.of(ACCESS, SECRET)
    assert isinstance(choose(settings(token=IAM_TOKEN), Machine(Path("/x")).around).source, Source)
