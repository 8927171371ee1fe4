"""Signatures: what the official SDK made is right, and anything changed afterwards is not."""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict

from tests.simulator.official import core, load
from worker.simulator.asked import Asked
from worker.simulator.iam.signature import Claim, canonical, claim_of, is_signed, signed_us

VECTORS: Final[list[dict[str, Any]]] = orjson.loads(
    (Path(__file__).parent / "vectors" / "signer_vectors.json").read_bytes()
)["vectors"]
EVERY: Final = pytest.mark.parametrize(
    "vector", [pytest.param(one, id=one["name"]) for one in VECTORS]
)


def asked_of(vector: Mapping[str, Any]) -> Asked:
    """Return the vector's request as it is on the wire."""
    request = vector["request"]
    headers = CIMultiDict({**request["headers"], "Authorization": vector["authorization"]})
    return Asked(
        method=request["method"],
        raw_path=vector["sent_uri"],
        headers=headers,
        body=request["body"].encode(),
    )


def claim_in(asked: Asked) -> Claim:
    """Return what the request's own header claims."""
    claim = claim_of(asked.headers["Authorization"])
    assert claim is not None
    return claim


@EVERY
def test_every_vector_is_right(vector: dict[str, Any]) -> None:
    """The signatures of the SDK, and of the signing guide's own example."""
    asked = asked_of(vector)
    claim = claim_in(asked)

    assert claim.access == vector["ak"]
    assert canonical(claim, asked).decode() == vector["canonical_request"]
    assert is_signed(claim, asked, vector["sk"])


@EVERY
def test_nothing_may_change_after_signing(vector: dict[str, Any]) -> None:
    """Another method, path, query, header, body or secret makes the signature wrong."""
    asked = asked_of(vector)
    claim = claim_in(asked)
    path, _, query = asked.raw_path.partition("?")
    other_head = CIMultiDict(asked.headers)
    other_head["Host"] = "elsewhere"
    changes = {
        "method": replace(asked, method="PUT"),
        "path": replace(asked, raw_path=f"{path}x" + (f"?{query}" if query else "")),
        "query": replace(asked, raw_path=f"{path}?{query}&more=1"),
        "header": replace(asked, headers=other_head),
    }
    if "X-Sdk-Content-Sha256" not in asked.headers:
        changes["body"] = replace(asked, body=(asked.body or b"") + b" ")

    assert [name for name, one in changes.items() if is_signed(claim, one, vector["sk"])] == []
    assert not is_signed(claim, asked, vector["sk"] + "x")


def test_a_body_that_is_declared_unsigned_may_be_any() -> None:
    """So the SDK sends everything that is not JSON."""
    (vector,) = (one for one in VECTORS if "UNSIGNED-PAYLOAD" in one["canonical_request"])
    asked = replace(asked_of(vector), body=b"something else")

    assert is_signed(claim_in(asked), asked, vector["sk"])


def test_a_declared_digest_must_be_the_bodys() -> None:
    """A request that contradicts itself is not signed, whatever its signature is."""
    vector = VECTORS[0]
    asked = asked_of(vector)
    headers = CIMultiDict(asked.headers)
    headers["X-Sdk-Content-Sha256"] = "0" * 64

    assert is_signed(claim_in(asked), asked, vector["sk"])
    assert not is_signed(claim_in(asked), replace(asked, headers=headers), vector["sk"])


def test_headers_that_are_put_on_later_do_not_matter() -> None:
    """One client signs first and adds project and security token then."""
    vector = VECTORS[-1]
    asked = asked_of(vector)
    headers = CIMultiDict(asked.headers)
    headers["X-Project-Id"] = "p"
    headers["X-Security-Token"] = "t"

    assert is_signed(claim_in(asked), replace(asked, headers=headers), vector["sk"])


@pytest.mark.parametrize(
    ("sent", "same_as"),
    [
        ("/v2/p/pools?b=1&a=2", "/v2/p/pools?a=2&b=1"),
        ("/v2/p/pools?&templateName=x", "/v2/p/pools?templateName=x"),
        ("/v2/p/pools?a", "/v2/p/pools?a="),
        ("/v2/p/pools?a=b+c", "/v2/p/pools?a=b%20c"),
        ("/v2/p/pools?a=2&a=1", "/v2/p/pools?a=1&a=2"),
        ("/v2/p/%70ools", "/v2/p/pools"),
        ("/v2/p/pools/", "/v2/p/pools"),
    ],
)
def test_writing_the_same_request_in_another_way_is_signing_the_same(
    sent: str, same_as: str
) -> None:
    """Order, needless encoding, a stray ampersand, a plus for a space, a slash at the end."""
    claim = Claim(access="a", names=("x-sdk-date",), signature="")

    def form(raw_path: str) -> bytes:
        headers = {"x-sdk-date": "20260102T030405Z"}
        return canonical(claim, Asked(method="GET", raw_path=raw_path, headers=headers, body=b""))

    assert form(sent) == form(same_as)


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer x",
        "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=" + "0" * 64,
        "SDK-HMAC-SM3 Access=a, SignedHeaders=host, Signature=" + "0" * 64,
        "V11-HMAC-SHA256 Credential=a/b/c, SignedHeaders=host, Signature=" + "0" * 64,
        "SDK-HMAC-SHA256 Access=a, SignedHeaders=host",
        "SDK-HMAC-SHA256 Access=a, SignedHeaders=host, Signature=short",
    ],
)
def test_another_form_or_algorithm_claims_nothing(authorization: str) -> None:
    """Only SDK-HMAC-SHA256 is known here."""
    assert claim_of(authorization) is None


@pytest.mark.parametrize(("names", "right"), [(("host", "x-sdk-date"), True), (("host",), False)])
def test_a_signature_that_leaves_out_the_date_is_not_one(
    names: tuple[str, ...],
    right: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """The date is the one header that must be signed, however well the rest is."""
    asked = asked_of(VECTORS[-1])
    claim = replace(claim_in(asked), names=names)
    digest = hashlib.sha256(canonical(claim, asked)).hexdigest()
    text = f"SDK-HMAC-SHA256\n{asked.headers['X-Sdk-Date']}\n{digest}"
    made = hmac.new(b"secret", text.encode(), hashlib.sha256).hexdigest()

    assert is_signed(replace(claim, signature=made), asked, "secret") is right


@pytest.mark.parametrize(
    "date", ["", "now", "20260102", "2026-01-02T03:04:05Z", "20261302T030405Z"]
)
def test_a_date_of_another_form_is_none(date: str) -> None:
    """Only the form of the guide is a date."""
    assert signed_us({"X-Sdk-Date": date}) is None
    assert signed_us({"X-Sdk-Date": "19700101T000001Z"}) == 1_000_000


TEXT: Final = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)
NAMES: Final = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(
    segments=st.lists(NAMES, min_size=1, max_size=4),
    query=st.lists(st.tuples(NAMES, TEXT), max_size=4),
    body=st.one_of(st.just(""), TEXT),
    header=st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF), max_size=12),
)
def test_whatever_the_sdk_signs_is_right_here(
    segments: list[str], query: list[tuple[str, str]], body: str, header: str
) -> None:
    """Paths, queries and headers in any script, signed by the SDK and read from the wire."""
    sent = _signed_by_the_sdk(segments, query, body, header)
    claim = claim_in(sent)

    assert is_signed(claim, sent, "secret")
    assert not is_signed(claim, replace(sent, raw_path=sent.raw_path + "x"), "secret")


def _signed_by_the_sdk(
    segments: list[str], query: list[tuple[str, str]], body: str, header: str
) -> Asked:
    signer = core("signer.signer").Signer
    credentials = core("auth.credentials").BasicCredentials("ACCESS", "secret", "p")
    request = core("sdk_request").SdkRequest(
        method="POST",
        schema="http",
        host="127.0.0.1:8080",
        resource_path="/" + "/".join(quote(segment, safe="") for segment in segments),
        query_params=query,
        header_params={"Content-Type": "application/json", "X-More": header},
        body=body,
    )
    signer(credentials).sign(request)
    # The SDK puts UTF-8 on the wire as Latin-1; a server reads the bytes as UTF-8.
    headers = {
        name: value.encode("iso-8859-1").decode("utf-8", "surrogateescape")
        for name, value in request.header_params.items()
    }
    body_sent = request.body if isinstance(request.body, bytes) else request.body.encode()
    return Asked(method="POST", raw_path=request.uri, headers=CIMultiDict(headers), body=body_sent)


@pytest.fixture(scope="module", autouse=True)
def _home(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Let the SDK write its file somewhere else, before it is imported."""
    with pytest.MonkeyPatch.context() as patch:
        load(patch, tmp_path_factory.mktemp("home"))
