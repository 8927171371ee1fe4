"""The OpenAPI 3.1 document, made from the table of routes and the models it names.  Pure."""

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from worker.api.calls import PROBLEM, STREAM, Body, KeyRule, Route
from worker.api.keys import HEADER, REPLAYED
from worker.api.router import PART
from worker.api.shapes import ProblemShape

REFERENCE: Final = "#/components/schemas/{model}"
BEARER: Final = "bearer"
_VARIABLE: Final = re.compile(r"\{([a-z]+)\}")

HEADERS: Final[Mapping[str, tuple[str, dict[str, Any]]]] = {
    "Location": ("Where the job is.", {"type": "string"}),
    REPLAYED: ("`true` when this is the answer that the first call got.", {"const": "true"}),
    "ETag": ("Of this very answer, for If-None-Match.", {"type": "string"}),
    "Retry-After": ("Seconds to wait.", {"type": "integer"}),
    "Allow": ("The methods that are served.", {"type": "string"}),
    "WWW-Authenticate": ("How to log in.", {"type": "string"}),
}

PROBLEM_HEADERS: Final[Mapping[int, tuple[str, ...]]] = {
    401: ("WWW-Authenticate",),
    405: ("Allow",),
    409: ("Retry-After",),
    429: ("Retry-After",),
    503: ("Retry-After",),
}


def refusals_of(route: Route) -> Sequence[int]:
    """Return the statuses with which a route may refuse, in order."""
    found = {400, 403, 429, 500, 503, *route.refuses}
    if route.needs.scope is not None:
        found.add(401)
    if "{" in route.path:
        found.add(404)
    if route.body is not None:
        found |= {408, 413, 415, 422}
    if route.key is not KeyRule.NONE:
        found |= {409, 422}
    return sorted(found)


def document(routes: Sequence[Route], version: str, *, login: bool = True) -> dict[str, Any]:
    """Return the document of these routes; without *login* a token may be left out."""
    models = _models(routes)
    _, defined = models_json_schema(models, ref_template=REFERENCE)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, login=login)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "plugwave",
            "version": version,
            "summary": "Install and upgrade plug-ins on resource pools, and prove what was done.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": defined.get("$defs", {}),
            "securitySchemes": {BEARER: {"type": "http", "scheme": "bearer"}},
        },
    }


def _models(routes: Sequence[Route]) -> list[tuple[type[BaseModel], JsonSchemaMode]]:
    read: dict[type[BaseModel], None] = {}
    told: dict[type[BaseModel], None] = {ProblemShape: None}
    for route in routes:
        if route.body is not None:
            read[route.body.model] = None
        told.update({one.model: None for one in route.answers if one.model is not None})
    validated: list[tuple[type[BaseModel], JsonSchemaMode]] = [(one, "validation") for one in read]
    return [*validated, *((one, "serialization") for one in told)]


def _operation(route: Route, *, login: bool) -> dict[str, Any]:
    told: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.text,
        "parameters": [*_path_parameters(route), *_query_parameters(route), *_key(route)],
        "responses": {**_answers(route), **_refusals(route)},
    }
    if route.body is not None:
        told["requestBody"] = _request_body(route.body)
    if route.needs.scope is not None:
        told["security"] = [{BEARER: []}, *([] if login else [{}])]
        own = "; `submit` for one's own jobs" if route.needs.own else ""
        told["description"] = f"Scope: `{route.needs.scope}`{own}."
    return told


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    schema = {"type": "string", "pattern": f"^{PART}$"}
    return [
        {"name": name, "in": "path", "required": True, "schema": schema}
        for name in _VARIABLE.findall(route.path)
    ]


def _query_parameters(route: Route) -> list[dict[str, Any]]:
    if route.query is None:
        return []
    schema = route.query.model_json_schema(ref_template=REFERENCE)
    needed = set(schema.get("required", ()))
    told = []
    for name, found in schema.get("properties", {}).items():
        one = dict(found)
        text = one.pop("description", "")
        one.pop("title", None)
        kinds = [kind for kind in one.get("anyOf", ()) if kind != {"type": "null"}]
        if len(kinds) == 1:  # a parameter is never null: it is there or not
            one = {**{key: value for key, value in one.items() if key != "anyOf"}, **kinds[0]}
        if one.get("default", "") is None:
            del one["default"]
        parameter = {"name": name, "in": "query", "description": text, "schema": one}
        told.append({**parameter, "required": name in needed})
    return told


def _key(route: Route) -> list[dict[str, Any]]:
    if route.key is KeyRule.NONE:
        return []
    text = "The same key and content is the same call: 1 to 255 printable ASCII characters."
    schema = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"}
    needed = route.key is KeyRule.NEEDED
    place = {"name": HEADER, "in": "header", "required": needed}
    return [{**place, "description": text, "schema": schema}]


def _request_body(body: Body) -> dict[str, Any]:
    schema = {"$ref": REFERENCE.format(model=body.model.__name__)}
    return {
        "required": not body.optional,
        "content": {media: {"schema": schema} for media in body.media},
    }


def _answers(route: Route) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for answer in route.answers:
        one = told.setdefault(str(answer.status), {"description": answer.text})
        names = (*answer.headers, *(("ETag",) if route.method == "GET" else ()))
        headers = {name: _header(name) for name in names if answer.media != STREAM}
        if headers:
            one.setdefault("headers", {}).update(headers)
        if answer.model is not None:
            schema = {"$ref": REFERENCE.format(model=answer.model.__name__)}
            one.setdefault("content", {})[answer.media] = {"schema": schema}
        elif answer.media == STREAM:
            one.setdefault("content", {})[STREAM] = {"schema": {"type": "string"}}
    if route.method == "GET":
        told["304"] = {"description": "What If-None-Match names is still true."}
    return told


def _refusals(route: Route) -> dict[str, Any]:
    schema = {"$ref": REFERENCE.format(model=ProblemShape.__name__)}
    told = {}
    for status in refusals_of(route):
        one: dict[str, Any] = {
            "description": HTTPStatus(status).phrase,
            "content": {PROBLEM: {"schema": schema}},
        }
        headers = {name: _header(name) for name in PROBLEM_HEADERS.get(status, ())}
        told[str(status)] = {**one, "headers": headers} if headers else one
    return told


def _header(name: str) -> dict[str, Any]:
    text, schema = HEADERS[name]
    return {"description": text, "schema": schema}
