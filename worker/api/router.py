"""Which route a call means: a table of routes becomes a look-up.  Pure.

The variable parts of a path are names of this program (job-42, a rollout's name): letters,
digits, dot, dash and underscore.  So nothing is ever decoded, and a path with a percent sign
means nothing.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from worker.api.calls import Route

PART: Final = "[A-Za-z0-9._-]{1,128}"
_VARIABLE: Final = re.compile(r"\{([a-z]+)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """What a path means: its routes by method, and its variable parts."""

    routes: Mapping[str, Route]
    parts: Mapping[str, str]

    @property
    def allowed(self) -> str:
        """The methods, as the header Allow has them."""
        methods = set(self.routes) | ({"HEAD"} if "GET" in self.routes else set())
        return ", ".join(sorted(methods))

    def route(self, method: str) -> Route | None:
        """Return the route for the method; HEAD asks what GET would answer."""
        return self.routes.get("GET" if method == "HEAD" else method)


def pattern_of(path: str) -> re.Pattern[str]:
    """Return what matches the paths that a route's path stands for."""
    parts = _VARIABLE.split(path)
    made = [
        f"(?P<{part}>{PART})" if number % 2 else re.escape(part)
        for number, part in enumerate(parts)
    ]
    return re.compile("".join(made))


class Router:
    """Finds the route of a call."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes = tuple(routes)
        plain: dict[str, dict[str, Route]] = {}
        variable: dict[str, dict[str, Route]] = {}
        for route in routes:
            table = variable if "{" in route.path else plain
            table.setdefault(route.path, {})[route.method] = route
        self._plain = {path: Match(routes=found, parts={}) for path, found in plain.items()}
        self._variable = [(pattern_of(path), found) for path, found in variable.items()]

    def match(self, path: str) -> Match | None:
        """Return what *path*, as it stands in the request, means; None when nothing."""
        plain = self._plain.get(path)
        if plain is not None:
            return plain
        for pattern, routes in self._variable:
            found = pattern.fullmatch(path)
            if found is not None:
                return Match(routes=routes, parts=found.groupdict())
        return None
