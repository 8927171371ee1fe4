"""The one place that hides secrets and makes foreign text harmless.

Three means, used together because each alone leaks: secret-looking *keys* hide whatever
they hold; exact *known values*, registered at start, are hidden wherever they turn up; and
in free text, passwords in URLs and ``password=…`` pairs are hidden by their shape.

Foreign text (from the cloud, a file, another library) can also attack the reader: ESC
drives terminals, line breaks forge log lines, bidi controls reorder what is shown.
`clean_text` leaves one plain line.
"""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final
from urllib.parse import quote

MASK: Final = "***"

TEXT_LIMIT: Final = 300
"""Characters of foreign text that are kept."""

DEPTH_LIMIT: Final = 50
"""Nesting beyond this is masked unread; accepted inputs are at most 20 deep."""

SHORTEST_KNOWN: Final = 4
"""Known values shorter than this are not searched for: they would blank out ordinary words."""

_SECRET_PARTS: Final = (
    "password", "passwd", "passphrase", "passcode", "secret", "token", "credential", "cookie",
    "authorization", "accesskey", "accesscode", "apikey", "privatekey", "signingkey",
    "encryptionkey", "sshkey", "bearer", "dockerconfig", "dockercfg", "kubeconfig",
    "connectionstring", "signature",
)  # fmt: skip
_SECRET_WORDS: Final = frozenset({"ak", "sk", "aksk", "pwd", "pass", "jwt", "dsn", "auth"})
_NAMES: Final = ("name", "key")
_HOLDERS: Final = frozenset({"value", "values", "default", "content", "data"})
_KEY_WORDS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_NOT_LETTERS: Final = re.compile(r"[^a-z]+")

_URL_PASSWORD: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,31}://[^\s/?#:@]{0,256}):[^\s/?#]*@")
_AUTHORIZATION: Final = re.compile(
    r"""(authorization["']?\s{0,4}[=:]\s{0,4})[^\r\n]+""", re.IGNORECASE
)
"""A signature has commas, spaces and equals signs in it, so the whole line goes."""

# Possessive, so that hostile text cannot make the search slow; the closing quote is
# optional, because text is cut before it gets here.
_NAMED: Final = re.compile(r"""([A-Za-z0-9_.%-]++)["']?\s{0,4}[=:]\s{0,4}""")
_VALUE: Final = re.compile(
    r"""(?:(?:bearer|basic)\s+)?"""
    r"""(?:"(?:[^"\\]|\\.?)*+"?|'(?:[^'\\]|\\.?)*+'?|[^\s"'&,;}\])]+)++""",
    re.IGNORECASE,
)

_NO_SECRETS: Final = frozenset({"true", "false", "none", "null"})
"""Values of settings with a secret-looking name; `--auth-encrypt=false` is an advice."""

_INPUT_ECHO: Final = re.compile(r"input_value=.*?(?=, input_type=|$)", re.MULTILINE)
"""How pydantic repeats in its messages what it was given."""

_ANSI: Final = re.compile(
    r"\x1b\[[0-?]{0,64}[ -/]{0,8}[@-~]|\x1b\][^\x07\x1b]{0,512}(?:\x07|\x1b\\)"
)
_INVISIBLE: Final = re.compile(
    "[\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f]"
)
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_BROKEN: Final = re.compile("[\ud800-\udfff]")
"""Half characters: no UTF-8 writer takes them."""


@lru_cache(maxsize=4096)
def is_secret_key(key: str) -> bool:
    """Whether what stands under *key* is to be taken for a secret, judged by its name alone.

    ``dbPassword``, ``X-Auth-Token``, ``OBS_SK`` and ``accessKeyId`` are; ``task`` and
    ``idempotency_key`` are not.
    """
    words = {word.lower() for word in _KEY_WORDS.findall(key)}
    if words & _SECRET_WORDS:
        return True
    letters = _NOT_LETTERS.sub("", key.lower())
    return any(part in letters for part in _SECRET_PARTS)


def clean_text(text: str, limit: int = TEXT_LIMIT) -> str:
    """Return *text* as one harmless line of at most *limit* characters.

    Terminal sequences, invisible and bidi characters go; controls and every kind of line
    break become one space; half characters become U+FFFD.  What is cut ends in ``…``.
    """
    if len(text) <= limit and text.isprintable() and "  " not in text:
        return text.strip()
    kept = _INVISIBLE.sub("", _ANSI.sub("", text[: 8 * limit]))
    line = " ".join(_BROKEN.sub("\ufffd", _CONTROL.sub(" ", kept)).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def mask_text(text: str) -> str:
    """Return *text* without what looks like a secret: passwords in URLs, ``token=…`` pairs."""
    masked = _URL_PASSWORD.sub(rf"\1:{MASK}@", text) if "://" in text else text
    if "input_value=" in masked:
        masked = _INPUT_ECHO.sub(f"input_value={MASK}", masked)
    if "=" not in masked and ":" not in masked:
        return masked
    return _without_named(_AUTHORIZATION.sub(rf"\1{MASK}", masked))


def _without_named(text: str) -> str:
    """Return *text* with the value after each secret-looking name masked.

    Only name and sign are stepped over when the name is harmless: in ``error: token=x`` the
    value of one name is the next pair.
    """
    kept: list[str] = []
    done = 0
    for named in _NAMED.finditer(text):
        if named.start() < done or not is_secret_key(named[1]):
            continue
        value = _VALUE.match(text, named.end())
        if value is None or value[0].strip("`").lower() in _NO_SECRETS:
            continue
        if value[0] != MASK:
            kept += [text[done : named.end()], MASK]
            done = value.end()
    return "".join([*kept, text[done:]])


def masked_inputs(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return plug-in inputs as a surface may show them: same shape, secrets masked, text clean."""
    return _masked_mapping(inputs, 0)


def _masked_mapping(values: Mapping[Any, Any], depth: int) -> dict[str, Any]:
    # A list of {"name": "DB_PASSWORD", "value": …}, as in a container's environment, names
    # its secret in a value.
    named = any(isinstance(values.get(key), str) and is_secret_key(values[key]) for key in _NAMES)
    return {
        clean_text(str(key)): (
            MASK
            if is_secret_key(str(key)) or (named and key in _HOLDERS)
            else _masked(value, depth + 1)
        )
        for key, value in values.items()
    }


def _masked(value: object, depth: int) -> object:
    if depth > DEPTH_LIMIT:
        return MASK
    if isinstance(value, str):
        return clean_text(mask_text(value), limit=max(len(value), 1))
    if isinstance(value, Mapping):
        return _masked_mapping(value, depth)
    if isinstance(value, list | tuple):
        return [_masked(item, depth + 1) for item in value]
    return value if isinstance(value, int | float | None) else MASK


class Redactor:
    """Hides known values wherever they turn up, in every form a text may give them.

    The values are held here and nowhere shown; `repr` tells only how many there are.
    """

    def __init__(self, known: Iterable[str] = ()) -> None:
        values = {text for text in known if len(text) >= SHORTEST_KNOWN}
        forms = {form for text in values for form in _forms(text)}
        longest_first = "|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True))
        self._count = len(values)
        self._texts = re.compile(longest_first) if forms else None
        self._bytes = tuple(form.encode("utf-8", "surrogatepass") for form in sorted(forms))

    def __repr__(self) -> str:
        return f"<Redactor of {self._count} values>"

    def finds(self, rendered: bytes) -> bool:
        """Whether a known value is in *rendered*; cheap enough for every line."""
        # A loop of `in` is several times faster than one pattern of alternatives.
        return any(form in rendered for form in self._bytes)

    def text(self, text: str) -> str:
        """Return *text* with known values and what looks like a secret masked."""
        return mask_text(self.exact(text))

    def exact(self, text: str) -> str:
        """Return *text* with known values masked, and nothing else."""
        return text if self._texts is None else self._texts.sub(MASK, text)


def _forms(text: str) -> set[str]:
    """Return *text* as it stands, in a URL, inside quotes, and with its line breaks folded."""
    escaped = text.encode("unicode_escape").decode("ascii")
    json_like = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    folded = " ".join(text.split())
    forms = {text, quote(text, safe=""), quote(text), escaped, json_like, folded}
    return {form for form in forms if len(form) >= SHORTEST_KNOWN}
