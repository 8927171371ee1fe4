"""The words that settings may be set to, where there are few."""

from enum import StrEnum


class Auth(StrEnum):
    """How requests prove who we are."""

    AUTO = "auto"  # the credential chain, first complete source wins
    AKSK = "aksk"  # the chain, but only its key pairs
    TOKEN = "token"  # noqa: S105 - the name of a method, not a token
    NONE = "none"  # the simulator on this machine


class Upgrade(StrEnum):
    """Which call changes a plug-in that is installed."""

    AUTO = "auto"
    POST = "post"
    PATCH = "patch"


class ReadFirst(StrEnum):
    """Whether a job looks at the pool before it sends."""

    ALWAYS = "always"
    WHEN_UNSURE = "when-unsure"


class LogFormat(StrEnum):
    """How log lines look."""

    AUTO = "auto"
    PRETTY = "pretty"
    JSON = "json"


class LogLevel(StrEnum):
    """The least important lines that are written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
