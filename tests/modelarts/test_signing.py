"""Signing: the gateway computes the same signature from the request as it arrives."""

import json
import os
import random
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest
from yarl import URL

from tests.builders import NOON_US
from tests.modelarts.scripted import OPEN_ANSWER, caller, cloud, http
from worker.modelarts.auth import AkSkAuth, Fixed, hidden_in_errors, project_of, secrets_in
from worker.modelarts.keys import AccessKey
from worker.modelarts.signing import canonical_path, canonical_query, canonical_request, sign

VECTORS: list[dict[str, Any]] = json.loads(
    Path(__file__).with_name("vectors").joinpath("signer_vectors.json").read_bytes()
)["vectors"]
each_vector = pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])

ACCESS, SECRET, TEMPORARY = "DUMMYACCESSKEY0000000", "dummySecretKey" + "0" * 26, "ggpjbi1ub3J0aC00"
KEY = AccessKey.of(ACCESS, SECRET)
POST_URL = URL("https://modelarts.cn-north-4.myhuaweicloud.com/v2/p1/pools/a/plugins", encoded=True)


def url_of(vector: Mapping[str, Any]) -> URL:
    """Return the URL as it is sent: the query in the order in which it was given."""
    request = vector["request"]
    pairs = "&".join(f"{quote(n, safe='')}={quote(v, safe='')}" for n, v in request["query"])
    asked = f"?{pairs}" if pairs else ""
    return URL(f"{request['scheme']}://{request['host']}{request['path']}{asked}", encoded=True)


def instant_us(date: str) -> int:
    """Return the instant of an ``X-Sdk-Date``."""
    moment = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    return int(moment.timestamp()) * 1_000_000


@each_vector
def test_every_vector_is_reproduced_byte_for_byte(vector: dict[str, Any]) -> None:
    """What the official SDK signs, we sign alike, to the last byte of the header."""
    request = vector["request"]
    key = AccessKey.of(vector["ak"], vector["sk"], vector["security_token"])
    ours = {"Host", "X-Sdk-Date", "X-Security-Token"}
    given = {name: value for name, value in request["headers"].items() if name not in ours}

    signed = sign(
        request["method"],
        url_of(vector),
        given,
        request["body"].encode(),
        key,
        instant_us(request["headers"]["X-Sdk-Date"]),
    )

    assert signed.pop("Authorization") == vector["authorization"]
    assert signed == request["headers"]


@each_vector
def test_the_canonical_request_is_the_published_one(vector: dict[str, Any]) -> None:
    """Where a signature differs, the text that was signed shows where."""
    request = vector["request"]
    covered = sorted((name.lower(), value) for name, value in request["headers"].items())

    text = canonical_request(request["method"], url_of(vector), covered, request["body"].encode())

    assert text == vector["canonical_request"]


class Asked(NamedTuple):
    """One request of the fuzz."""

    method: str
    path: str
    query: list[tuple[str, str]]
    headers: dict[str, str]
    body: str
    token: str | None


ALPHABET = "aZ09-_.~/ +%&=?#:;,@!$'()*[]\"<>^`{|}\\\u00e9\u4e2d\U0001f600\u00a0"


def text(rng: random.Random, most: int, alphabet: str = ALPHABET) -> str:
    """Return up to *most* characters."""
    return "".join(rng.choices(alphabet, k=rng.randrange(most + 1)))


def requests(count: int, seed: int) -> Iterator[Asked]:
    """Yield requests of every kind: unicode, empty values, repeated names, odd headers."""
    rng = random.Random(seed)
    segment = ALPHABET.replace("/", "")
    for _ in range(count):
        names = [text(rng, 4) or "n" for _ in range(rng.randrange(4))]
        query = [(name, text(rng, 8)) for name in names for _ in range(rng.randrange(1, 3))]
        headers = {"X-Project-Id": "0" * 32}
        if rng.random() < 0.6:
            headers["Content-Type"] = rng.choice(
                [
                    "application/json",
                    "application/merge-patch+json",
                    "application/json;charset=utf8",
                ]
            )
        if rng.random() < 0.3:
            headers[rng.choice(["X-Extra", "x-under_score", "A-B"])] = f"  {text(rng, 6)}x "
        path = "/" + "/".join(text(rng, 6, segment) for _ in range(rng.randrange(5)))
        yield Asked(
            method=rng.choice(["GET", "POST", "PUT", "PATCH", "DELETE"]),
            path=path + rng.choice(["", "/"]),
            query=query,
            headers=headers,
            body=text(rng, 30) if rng.random() < 0.5 else "",
            token=TEMPORARY if rng.random() < 0.3 else None,
        )


def sdk_authorization(asked: Asked, date: str) -> str:
    """Return what the official SDK's own signer says."""
    sdk_request = import_module("huaweicloudsdkcore.sdk_request")
    signer = import_module("huaweicloudsdkcore.signer.signer")
    headers = {**asked.headers, "X-Sdk-Date": date}
    if asked.token is not None:
        headers["X-Security-Token"] = asked.token

    class Credentials:
        ak, sk = ACCESS, SECRET

    request = sdk_request.SdkRequest(
        method=asked.method,
        schema="https",
        host="h.example:8443",
        resource_path=asked.path,
        query_params=list(asked.query),
        header_params=headers,
        body=asked.body,
    )
    return str(signer.Signer(Credentials()).sign(request).header_params["Authorization"])


def our_authorization(asked: Asked, date: str) -> str:
    """Return what we say of the request as it is sent."""
    pairs = "&".join(f"{quote(n, safe='')}={quote(v, safe='')}" for n, v in asked.query)
    path = quote(asked.path, safe="/")
    url = URL(f"https://h.example:8443{path}{'?' if pairs else ''}{pairs}", encoded=True)
    headers = dict(asked.headers)
    if not headers.get("Content-Type", "application/json").startswith("application/json"):
        headers["X-Sdk-Content-Sha256"] = "UNSIGNED-PAYLOAD"  # what the SDK adds by itself
    key = AccessKey.of(ACCESS, SECRET, asked.token)
    signed = sign(asked.method, url, headers, asked.body.encode(), key, instant_us(date))
    return signed["Authorization"]


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_ten_thousand_requests_are_signed_as_the_sdk_signs_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is in path, query, headers and body, the official signer agrees with ours."""
    if "huaweicloudsdkcore" not in sys.modules:
        monkeypatch.setenv("HOME", str(tmp_path))  # the SDK writes a file when it is imported
    date = "20260102T030405Z"

    differing = [
        asked
        for asked in requests(10_000, seed=20261124)
        # The SDK decodes the path it is given; a percent sign in it would mean something.
        if our_authorization(asked, date)
        != sdk_authorization(asked._replace(path=asked.path.replace("%", "%25")), date)
    ]

    assert differing == []
    assert os.environ.get("HOME") is not None


def test_the_signed_path_ends_in_a_slash_and_the_sent_one_does_not() -> None:
    """The rule of the gateway: canonical and sent differ in exactly that."""
    assert canonical_path("/v2/p/pools/a/plugins") == "/v2/p/pools/a/plugins/"
    assert canonical_path("/v2/") == "/v2/"
    assert canonical_path("/a%20b/%E4%B8%AD") == "/a%20b/%E4%B8%AD/"
    assert canonical_path("/a b") == "/a%20b/"
    assert canonical_path("/%ff") == "/%FF/"


@pytest.mark.parametrize(
    ("sent", "canonical"),
    [
        ("", ""),
        ("b=1&a=2", "a=2&b=1"),
        ("a=2&a=1&a=", "a=&a=1&a=2"),
        ("flag", "flag="),
        ("q=a+b", "q=a%20b"),
        ("q=a%2Bb", "q=a%2Bb"),
        ("a=1&&b=2", "a=1&b=2"),
        ("%7Ea=1&Z=2&a=~", "Z=2&a=~&~a=1"),
        ("x=%E4%B8%AD", "x=%E4%B8%AD"),
    ],
)
def test_the_query_is_sorted_by_what_it_says(sent: str, canonical: str) -> None:
    """Names and values are sorted as they are, not as they happen to be encoded."""
    assert canonical_query(sent) == canonical


def test_one_changed_byte_changes_the_signature() -> None:
    """Method, path, query, headers, body, date and secret are all covered."""
    url = POST_URL

    def signature(
        method: str = "POST",
        at: URL = url,
        body: bytes = b"{}",
        key: AccessKey = KEY,
        now_us: int = NOON_US,
        **headers: str,
    ) -> str:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return sign(method, at, given, body, key, now_us)["Authorization"].rpartition("=")[2]

    other = {
        signature(),
        signature("PUT"),
        signature(at=url.with_path("/v2/p1/pools/b/plugins")),
        signature(at=url.with_query("a=1")),
        signature(body=b"{ }"),
        signature(body=b""),
        signature(key=AccessKey.of(ACCESS, SECRET + "1")),
        signature(now_us=NOON_US + 1_000_000),
        signature(X_Project_Id="p1"),
    }

    assert len(other) == 9
    assert signature() == signature(now_us=NOON_US + 999_999)


def test_a_request_names_its_project_and_temporary_key() -> None:
    """What goes with a signature is covered by it: host, project, date, security token."""
    auth = AkSkAuth(Fixed(AccessKey.of(ACCESS, SECRET, TEMPORARY)))

    headers = auth.headers("POST", POST_URL, b"{}", NOON_US)

    assert headers["X-Project-Id"] == "p1"
    assert headers["X-Security-Token"] == TEMPORARY
    assert headers["X-Sdk-Date"] == "20261124T120000Z"
    assert headers["Host"] == "modelarts.cn-north-4.myhuaweicloud.com"
    assert (
        "SignedHeaders=host;x-project-id;x-sdk-date;x-security-token," in headers["Authorization"]
    )


@pytest.mark.parametrize(
    ("path", "project"),
    [
        ("/v2/p1/pools", "p1"),
        ("/v1/p1/plugintemplates/x", "p1"),
        ("/v3/auth/projects", None),
        ("/v3.0/OS-CREDENTIAL/securitytokens", None),
        ("/v2/p1", None),
        ("/", None),
    ],
)
def test_only_regional_services_name_a_project(path: str, project: str | None) -> None:
    """IAM's addresses begin alike and name none."""
    assert project_of(URL("https://h").with_path(path)) == project


def test_what_an_answer_must_not_repeat_is_known() -> None:
    """Signature and security token are masked everywhere, the access key in errors."""
    auth = AkSkAuth(Fixed(AccessKey.of(ACCESS, SECRET, TEMPORARY)))
    proof = auth.headers("GET", POST_URL, b"", NOON_US)

    assert set(secrets_in(proof)) == {proof["Authorization"], TEMPORARY}
    assert set(hidden_in_errors(proof)) == {proof["Authorization"], TEMPORARY, ACCESS}
    assert ACCESS not in secrets_in(proof)


async def test_what_is_signed_is_what_is_sent() -> None:
    """The request on the wire has the signed host, path and body, and its own signature."""
    async with (
        cloud(http(200, OPEN_ANSWER)) as served,
        caller(served, authorizer=AkSkAuth(Fixed(KEY))) as call,
    ):
        answer = await call.create()

    head, _, body = served.requests[0].partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    method, target, _ = lines[0].split(" ")
    sent = {name.lower(): value for name, _, value in (one.partition(": ") for one in lines[1:])}
    again = sign(
        method,
        URL(f"http://{sent['host']}{target}", encoded=True),
        {"X-Project-Id": sent["x-project-id"]},
        body,
        KEY,
        instant_us(sent["x-sdk-date"]),
    )
    assert answer.http_status == 200
    assert sent["authorization"] == again["Authorization"]
    assert sum(line.lower().startswith("host:") for line in lines) == 1
