"""A URL addresses what was meant, or is not built."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.errors import ConfigError
from jobs.model import Target
from worker.modelarts.faults import NotSendableError
from worker.modelarts.urls import Urls, checked_endpoint, default_endpoint, is_loopback

TARGET = Target(project_id="0a1b", pool_name="pool-6f5d", region="cn-north-4")


def test_the_documented_paths_are_built() -> None:
    """Each call has the path that the documentation gives it."""
    urls = Urls("https://cloud.example:8443")

    root = "https://cloud.example:8443/v2/0a1b"
    assert str(urls.plugins(TARGET)) == f"{root}/pools/pool-6f5d/plugins"
    assert str(urls.pool(TARGET)) == f"{root}/pools/pool-6f5d"
    assert str(urls.pools(None, "0a1b")) == f"{root}/pools"
    assert str(urls.templates(TARGET, None)) == f"{root}/plugintemplates?poolName=pool-6f5d"
    assert (
        str(urls.templates(TARGET, "volcano"))
        == f"{root}/plugintemplates?templateName=volcano&poolName=pool-6f5d"
    )
    one = f"{root}/pools/pool-6f5d/plugins/volcano"
    assert str(urls.plugin(TARGET, "volcano")) == one
    assert str(urls.plugin(TARGET, "volcano", detail=True)) == f"{one}?detail=true"
    assert str(urls.nodes(TARGET)) == f"{root}/pools/pool-6f5d/nodes"
    assert str(urls.nodes(TARGET, "n2", limit=500)).endswith("/nodes?limit=500&continue=n2")
    assert str(urls.pools(None, "0a1b", workspace="w1")) == f"{root}/pools?workspaceId=w1"
    assert (
        str(urls.driver(None, "0a1b", "gpu-driver"))
        == "https://cloud.example:8443/v1/0a1b/plugintemplates/gpu-driver"
    )


def test_the_endpoint_comes_from_the_region_unless_configured() -> None:
    """A region's own endpoint wins over the general one, and that over the public one."""
    both = Urls("https://all.example", {"cn-east-3": "https://east.example"})

    assert str(Urls().endpoint("cn-north-4")) == "https://modelarts.cn-north-4.myhuaweicloud.com"
    assert default_endpoint("eu-west-101") == "https://modelarts.eu-west-101.myhuaweicloud.eu"
    assert str(both.endpoint("cn-north-4")) == "https://all.example"
    assert str(both.endpoint("cn-east-3")) == "https://east.example"


@pytest.mark.parametrize("region", [None, "", "a.b", "evil.example/", "CN", "x@y", "a" * 65])
def test_without_a_plain_region_there_is_no_endpoint(region: str | None) -> None:
    """A region cannot smuggle another host into the address."""
    with pytest.raises(NotSendableError):
        Urls().endpoint(region)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "[::1]"])
def test_http_is_for_this_machine(host: str) -> None:
    """A simulator on loopback may be called without TLS."""
    assert checked_endpoint(f"http://{host}:8080").port == 8080


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://cloud.example",
        "http://127.0.0.1.evil.example",
        "http://localhost.evil.example",
        "http://10.0.0.1",
        "http://[::2]",
        "http://0.0.0.0",
        "ftp://127.0.0.1",
        "//cloud.example",
        "cloud.example",
        "",
        "https://",
        "https://user:hunter2@cloud.example",
        "https://@cloud.example",
        "https://cloud.example/v2",
        "https://cloud.example/?a=b",
        "https://cloud.example/#x",
        "https://cloud.example:99999",
        "https://cloud.example:port",
        "https://cl\u043eud.example",
        "https://cloud_.example\x00",
        "https://cloud example",
        "https://-cloud.example",
    ],
)
def test_any_other_endpoint_is_a_configuration_error(endpoint: str) -> None:
    """An address that could leak the credential is refused at start, without showing a password."""
    with pytest.raises(ConfigError) as caught:
        checked_endpoint(endpoint)

    assert "hunter2" not in str(caught.value.as_dict())


def test_loopback_is_decided_by_the_address() -> None:
    """Names that merely look like this machine are not this machine."""
    assert not is_loopback("localhost.localdomain")
    assert not is_loopback("127.0.0.1.nip.io")


@given(project=st.text(max_size=20), pool=st.text(max_size=20))
def test_no_name_ever_escapes_its_place(project: str, pool: str) -> None:
    """Whatever the names are: exactly five segments with both names in place, or nothing."""
    urls = Urls("https://cloud.example")
    try:
        url = urls.plugins(Target(project_id=project, pool_name=pool))
    except NotSendableError:
        return

    assert url.raw_path.split("/") == ["", "v2", project, "pools", pool, "plugins"]
    assert (url.scheme, url.raw_host, url.raw_query_string) == ("https", "cloud.example", "")


@given(name=st.text(max_size=20))
def test_no_plug_in_ever_escapes_its_place(name: str) -> None:
    """The same holds for the name of a plug-in or driver at the end of a path."""
    urls = Urls("https://cloud.example")
    try:
        built = urls.plugin(TARGET, name), urls.driver(None, "0a1b", name)
    except NotSendableError:
        return

    assert [url.raw_path.split("/")[-1] for url in built] == [name, name]
    assert [len(url.raw_path.split("/")) for url in built] == [7, 5]
    assert {(url.raw_host, url.raw_query_string) for url in built} == {("cloud.example", "")}


@given(token=st.text(max_size=50))
def test_a_continue_token_stays_one_value(token: str) -> None:
    """What the cloud gave us to continue with goes back as one query value."""
    url = Urls("https://cloud.example").pools(None, "0a1b", token)

    assert url.raw_path == "/v2/0a1b/pools"
    assert list(url.query.items()) == [("continue", token)]


def test_a_url_is_built_once() -> None:
    """The same pool gets the same object, so that the hot path builds nothing."""
    urls = Urls("https://cloud.example")

    assert urls.plugins(TARGET) is urls.plugins(TARGET)


def test_the_finished_url_is_checked_even_if_a_name_slips_through() -> None:
    """Should the allow-list ever let dots or slashes pass, the finished URL still gives it away."""
    urls = Urls("https://cloud.example")
    for part in ["..", ".", "", "a/b", "a?b", "a#b", "%2e", "a b", "a\n", "\u043e"]:
        with pytest.raises(NotSendableError):
            urls._checked(None, ("v2", part, "plugins"))
