"""What a cloud in good health answers to each call of the contract.

Faults are not made here: they spoil what this module answers.  Nothing is changed here
either; whether a send takes effect, and when, is the caller's business.
"""

import json
from typing import Any

from tests.acceptance.chaos_fleet import Fleet, NoSuchPoolError, NoSuchTemplateError, Pool, Wish
from tests.acceptance.chaos_wire import Head, answer, as_json, error_body


class BadBodyError(ValueError):
    """The body is not what the call takes."""


class AlreadyThereError(ValueError):
    """The plug-in is installed, and this site's POST only installs."""


class NoSuchCallError(LookupError):
    """The site has no such method and path."""


def pool_of(head: Head) -> tuple[str, str] | None:
    """Return (project, pool) when the request is about a pool's plug-ins, else None."""
    match head.segments:
        case ("v2", project, "pools", pool, "plugins", *_):
            return project, pool
        case _:
            return None


def wish_of(head: Head, body: bytes) -> Wish | None:
    """Return what a send asks for, or None when it is no send or its body is malformed."""
    if head.method not in {"POST", "PATCH"}:
        return None
    try:
        told = json.loads(body)
        template = told["spec"]["template"]
        if head.method == "POST":
            if (told["apiVersion"], told["kind"]) != ("v2", "Plugin"):
                return None
            name = template["name"]
        else:
            name = template.get("name", head.segments[-1])
        version, inputs = template.get("version"), template.get("inputs")
    except (ValueError, LookupError, TypeError, AttributeError):
        return None
    if not isinstance(name, str) or not isinstance(version, str | None):
        return None
    if not isinstance(inputs, dict | None):
        return None
    return Wish(name=name, version=version, inputs=inputs)


class Service:
    """The calls: list pools, list templates, list plug-ins, create, and on some sites patch."""

    def __init__(self, fleet: Fleet, *, post_mode: str) -> None:
        self._fleet = fleet
        self._post_only_installs = post_mode == "409"

    def reply(self, head: Head, wish: Wish | None, *, request_id: str, at: float | None) -> bytes:
        """Return the whole answer; a list call shows the pool as it was at *at*, when given."""
        try:
            told = self._result(head, wish, at)
        except NoSuchPoolError as error:
            body = error_body("ModelArts.50015001", f"Pool {error} not found.")
            return answer(404, body, request_id=request_id)
        except NoSuchTemplateError as error:
            body = error_body("ModelArts.50005101", f"Plugintemplate {error} not found.")
            return answer(404, body, request_id=request_id)
        except BadBodyError:
            body = error_body("ModelArts.50004000", "Bad request.")
            return answer(400, body, request_id=request_id)
        except AlreadyThereError:
            body = error_body("ModelArts.50015000", "Plugin already exists.")
            return answer(409, body, request_id=request_id)
        except NoSuchCallError:
            body = error_body("APIG.0101", "The API does not exist.", request_id)
            return answer(404, body, request_id=request_id)
        return answer(200, as_json(told), request_id=request_id)

    def pool(self, head: Head) -> Pool:
        """Return the pool a request is about.

        Raises:
            NoSuchPoolError: If there is none.
        """
        named = pool_of(head)
        if named is None:
            raise NoSuchPoolError(head.path)
        return self._fleet.pool(*named)

    def _result(self, head: Head, wish: Wish | None, at: float | None) -> dict[str, Any]:
        match head.method, head.segments:
            case "GET", ("v2", project, "pools"):
                return self._list_pools(project)
            case "GET", ("v2", _, "plugintemplates"):
                return self._list_templates(head.query.get("templateName"))
            case "GET", ("v2", _, "pools", _, "plugins"):
                pool = self.pool(head)
                items = pool.items() if at is None else pool.items_at(at)
                return {"apiVersion": "v2", "kind": "PluginList", "items": items}
            case "POST", ("v2", _, "pools", _, "plugins"):
                return self._create(head, wish)
            case "PATCH", ("v2", _, "pools", _, "plugins", name) if self._post_only_installs:
                return self._patch(head, wish, name)
            case _:
                raise NoSuchCallError

    def _list_pools(self, project: str) -> dict[str, Any]:
        items = [
            {
                "apiVersion": "v2",
                "kind": "Pool",
                "metadata": {"name": pool.name, "labels": {"os.modelarts/name": pool.name}},
                "spec": {"type": "Dedicate", "controlMode": 0},
                "status": {"phase": "Running"},
            }
            for pool in self._fleet.pools.values()
            if pool.project == project
        ]
        return {"apiVersion": "v2", "kind": "PoolList", "items": items}

    def _list_templates(self, wanted: str | None) -> dict[str, Any]:
        if wanted and wanted not in self._fleet.templates:
            raise NoSuchTemplateError(wanted)
        items = [
            {
                "apiVersion": "v2",
                "kind": "PluginTemplate",
                "metadata": {"name": template.name},
                "spec": {
                    "type": "ccePlugin",
                    "versions": [
                        {
                            "version": version,
                            "creationTimestamp": f"2025-0{1 + age % 9}-01T00:00:00Z",
                            "inputs": {"parameters": template.defaults},
                        }
                        for age, version in enumerate(template.versions)
                    ],
                },
            }
            for template in self._fleet.templates.values()
            if not wanted or template.name == wanted
        ]
        return {"apiVersion": "v2", "kind": "PluginTemplateList", "items": items}

    def _create(self, head: Head, wish: Wish | None) -> dict[str, Any]:
        pool = self.pool(head)
        if wish is None:
            raise BadBodyError
        version = self._fleet.check(wish)
        if self._post_only_installs and wish.name in pool.plugins:
            raise AlreadyThereError
        return _accepted(wish, version)

    def _patch(self, head: Head, wish: Wish | None, name: str) -> dict[str, Any]:
        pool = self.pool(head)
        content = head.headers.get("content-type", "")
        if wish is None or not content.startswith("application/merge-patch+json"):
            raise BadBodyError
        if name not in pool.plugins or wish.name != name:
            raise NoSuchTemplateError(name)
        return _accepted(wish, self._fleet.check(wish))


def _accepted(wish: Wish, version: str) -> dict[str, Any]:
    """Return the documented answer to a create: neither metadata nor status."""
    template: dict[str, Any] = {"name": wish.name, "version": version}
    if wish.inputs is not None:
        template["inputs"] = wish.inputs
    return {"apiVersion": "v2", "kind": "Plugin", "spec": {"template": template}}
