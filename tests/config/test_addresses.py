"""Addresses: signed requests go only to plain, checked endpoints; a store is a file or a server."""

from pathlib import Path

import pytest

from config.addresses import (
    StoreEngine,
    checked_endpoint,
    checked_store_url,
    is_loopback,
    sqlite_path,
    store_engine,
    store_passwords,
)


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("https://modelarts.example.com", "https://modelarts.example.com"),
        ("HTTPS://ModelArts.Example.com/", "https://modelarts.example.com"),
        ("https://example.com:8443", "https://example.com:8443"),
        ("http://127.0.0.1:8788", "http://127.0.0.1:8788"),
        ("http://127.1.2.3", "http://127.1.2.3"),
        ("http://localhost:1", "http://localhost:1"),
        ("http://[::1]:8788", "http://[::1]:8788"),
        ("https://[2001:db8::1]", "https://[2001:db8::1]"),
    ],
)
def test_endpoints_are_taken_in_one_form(written: str, kept: str) -> None:
    """An endpoint is scheme, host and port, in lower case and without a slash at its end."""
    assert checked_endpoint(written) == kept


@pytest.mark.parametrize(
    "written",
    [
        "http://example.com",
        "http://10.0.0.1",
        "http://127.0.0.1.example.com",
        "http://localhost.example.com",
        "http://2130706433",  # 127.0.0.1 as one number: a name to us
        "http://0177.0.0.1",
        "http://[::ffff:10.0.0.1]",
        "http://0.0.0.0:80",
    ],
)
def test_plain_http_never_leaves_this_machine(written: str) -> None:
    """Without TLS a request goes to 127/8, ::1 or localhost, and nowhere else."""
    with pytest.raises(ValueError, match="https://"):
        checked_endpoint(written)


@pytest.mark.parametrize(
    "written",
    [
        "example.com",
        "ftp://example.com",
        "https://example.com/v2",
        "https://example.com?x=1",
        "https://example.com#x",
        "https://exa mple.com",
        "https://example.com\n",
        "https://exam\tple.com",
        "https://example.com\\@evil.com",
        "https://ex%61mple.com",
        "https://exämple.com",
        "https://example..com",
        "https://example.com:0",
        "https://example.com:65536",
        "https://example.com:",
        "https://[::g]",
        "https://",
        "",
    ],
)
def test_what_is_no_plain_endpoint_is_refused(written: str) -> None:
    """A path, a query, an encoding or a control character in an endpoint is refused."""
    with pytest.raises(ValueError, match="https://HOST"):
        checked_endpoint(written)


def test_an_endpoint_with_a_password_is_refused_without_showing_it() -> None:
    """The message about a user and password in an endpoint repeats neither."""
    with pytest.raises(ValueError, match="no user or password") as caught:
        checked_endpoint("https://me:hunter2@example.com")

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("endpoint", "here"),
    [
        ("http://127.0.0.1:8788", True),
        ("https://localhost", True),
        ("http://[::1]", True),
        ("https://example.com", False),
        ("https://127.0.0.1.example.com", False),
    ],
)
def test_this_machine_is_recognised_by_address_not_by_look(endpoint: str, here: bool) -> None:  # noqa: FBT001 - a table's column
    """Only a loopback address or ``localhost`` counts as this machine."""
    assert is_loopback(endpoint) is here


def test_a_sqlite_path_may_be_relative_or_absolute() -> None:
    """Three slashes are relative to the folder of the command, four are absolute."""
    assert sqlite_path(checked_store_url("sqlite:///state.db")) == Path("state.db")
    assert sqlite_path(checked_store_url("sqlite:////var/x/state.db")) == Path("/var/x/state.db")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://db/queue",
        "postgres://user@db:5432/queue",
        "postgresql:///queue",
        "postgresql://one:5432,two:5432/queue",
        "postgresql://u:p%40ss@db/queue",
    ],
)
def test_a_shared_store_is_a_postgresql_url(url: str) -> None:
    """Every form that PostgreSQL's own tools take is taken."""
    assert store_engine(checked_store_url(url)) is StoreEngine.POSTGRESQL
    assert sqlite_path(url) is None


@pytest.mark.parametrize(
    "url",
    [
        "",
        "state.db",
        "sqlite://state.db",
        "sqlite:///",
        "sqlite:////",
        "sqlite:////var/lib/",
        "sqlite:///:memory:",
        "sqlite:///~/state.db",
        "sqlite:///state.db?mode=ro",
        "mysql://db/queue",
        "postgresql://",
        "postgresql://u:hunter2@",
        "postgresql://[db/queue",
        "postgresql://u:hun/ter2@db/queue",
        "postgresql://u:hun#ter2@db/queue",
        "sqlite:///a\nb",
    ],
)
def test_what_names_no_store_is_refused_without_repeating_it(url: str) -> None:
    """A wrong store address says how to write it, and never shows a password."""
    with pytest.raises(ValueError, match=r"write|leave out|lose|control") as caught:
        checked_store_url(url)

    assert "ter2" not in str(caught.value)


def test_a_stores_passwords_are_known_in_every_form() -> None:
    """The password is hidden as it stands in the address and as the server sees it."""
    assert set(store_passwords("postgresql://u:p%40ss@db/q")) == {"p%40ss", "p@ss"}
    assert set(store_passwords("postgresql://db/q?password=s3cr3t")) == {"s3cr3t"}
    assert store_passwords("sqlite:///state.db") == ()
