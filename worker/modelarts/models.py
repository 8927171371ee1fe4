"""The words of the plug-in call: the body we send and the plug-in an answer tells of.

Tolerant in, exact out.  What we send has exactly the documented shape.  What comes back may
lack whole parts (the documented 200 of a create has neither metadata nor status), use
unknown phases, or carry the inputs in one of two places.

The readers are written by hand into frozen dataclasses: every send and every look reads an
answer, a pydantic model for it costs several times as much, and the tolerance wanted here (a
wrong leaf is "not told", a wrong container is an error) is not one it has.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from jobs.changing import swift
from jobs.model import Inputs, PluginSeen
from jobs.names import is_name
from worker.modelarts.faults import NotSendableError, UnreadableError
from worker.modelarts.reading import (
    Document,
    child,
    created,
    items,
    line,
    name_in,
    texts,
    whole,
)

API_VERSION: Final = "v2"
KIND: Final = "Plugin"
"""The field texts of the documentation have the two swapped; its examples have not."""

LIST_KINDS: Final = frozenset({"PluginList", "NodePoolList"})
"""The second is what two sites document by mistake."""

BODY_LIMIT_BYTES: Final = 1024 * 1024
"""Largest body we send; inputs are limited to 64 KiB long before."""

REASON_LIMIT: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One workload of a plug-in; quantities are Kubernetes text such as ``250m``."""

    kind: str | None = None
    api_version: str | None = None
    namespace: str | None = None
    name: str | None = None
    uid: str | None = None
    resource_version: str | None = None
    replicas: int | None = None
    limits: Mapping[str, str] = field(default_factory=dict)
    requests: Mapping[str, str] = field(default_factory=dict)


@swift
@dataclass(frozen=True, kw_only=True)  # no slots: see jobs.changing
class Plugin:
    """One plug-in as an answer told of it; None means not told.

    The shape was checked when it was read; each leaf is read when it is asked for, because
    most answers are asked for a few of them only.
    """

    template_name: str
    template: Document = field(repr=False)
    metadata: Document = field(repr=False)
    status: Document = field(repr=False)

    @property
    def name(self) -> str | None:
        """``metadata.name``: pool and template in all examples, used in no path."""
        return line(self.metadata, "name", 256)

    @property
    def created_at(self) -> str | None:
        """``metadata.creationTimestamp`` as the cloud wrote it."""
        return created(self.metadata)

    @property
    def template_version(self) -> str | None:
        """``spec.template.version``: what was asked for; missing on default plug-ins."""
        return line(self.template, "version")

    @property
    def template_inputs(self) -> Inputs | None:
        """``spec.template.inputs``, if it is an object."""
        return _object_or_none(self.template.get("inputs"))

    @property
    def phase(self) -> str | None:
        """``status.phase``, known or not."""
        return line(self.status, "phase", 64)

    @property
    def version(self) -> str | None:
        """``status.version``: what is installed."""
        return line(self.status, "version")

    @property
    def reason(self) -> str | None:
        """``status.reason``; filled on success too."""
        return line(self.status, "reason", REASON_LIMIT)

    @property
    def values(self) -> Inputs | None:
        """``status.values``, if an object can be made of it."""
        return read_values(self.status.get("values"))

    @property
    def resources(self) -> tuple[Resource, ...]:
        """``status.resources``: the workloads, where the answer has them."""
        found = self.status.get("resources")
        if type(found) is not list:
            return ()
        return tuple(_resource(one) for one in found if type(one) is dict)


def plugin_body(name: str, *, version: str | None = None, inputs: Inputs | None = None) -> bytes:
    """Return the request body, serialised once; what is None is left out.

    Raises:
        NotSendableError: If the inputs are no JSON or the body is too large.
    """
    return _body({"apiVersion": API_VERSION, "kind": KIND}, name, version, inputs)


def patch_body(name: str, *, version: str | None = None, inputs: Inputs | None = None) -> bytes:
    """Return the body of an update: the part of the plug-in that changes, serialised once.

    The name is in it although the path has it too: the documentation marks it as required.
    Merge-patch would keep what is left out, yet the documentation says of inputs that they
    must all be given; so give them all (cloud API notes, section 1.4).

    Raises:
        NotSendableError: If the inputs are no JSON or the body is too large.
    """
    return _body({}, name, version, inputs)


def _body(head: dict[str, Any], name: str, version: str | None, inputs: Inputs | None) -> bytes:
    template: dict[str, Any] = {} if version is None else {"version": version}
    template["name"] = name
    if inputs is not None:
        template["inputs"] = inputs
    try:
        body = orjson.dumps({**head, "spec": {"template": template}}, default=_plain)
    except TypeError:
        raise NotSendableError("the inputs cannot be written as JSON") from None
    if len(body) > BODY_LIMIT_BYTES:
        raise NotSendableError("the request body is too large")
    return body


def _plain(value: object) -> dict[Any, Any]:
    """Return a read-only mapping as the dict that orjson knows."""
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError


def template_in(body: bytes, told: str | None = None) -> str:
    """Return the template that a request body names; *told* by who has just made the body.

    Raises:
        NotSendableError: If the body is too large, names none, or one that is no plain name: it
            is not one of ours.
    """
    if len(body) > BODY_LIMIT_BYTES:
        raise NotSendableError("the request body is too large")
    name: object = told
    if told is None:
        try:
            name = orjson.loads(body)["spec"]["template"]["name"]
        except (orjson.JSONDecodeError, LookupError, TypeError):
            raise NotSendableError("the request body names no plug-in") from None
    if type(name) is not str or not is_name(name):
        raise NotSendableError("the plug-in name is not a plain name")
    return name


def read_plugin(answer: Document) -> Plugin:
    """Return the plug-in in *answer*.

    Raises:
        UnreadableError: If it is of another kind, names no template, or a part of it has the
            wrong shape.
    """
    kind = answer.get("kind", KIND)
    if kind != KIND and (kind, answer.get("apiVersion")) != (API_VERSION, KIND):
        raise UnreadableError("kind is not Plugin")
    template = child(child(answer, "spec"), "template")
    return Plugin(
        template_name=name_in(template, "spec.template"),
        template=template,
        metadata=child(answer, "metadata"),
        status=child(answer, "status"),
    )


def read_patched(answer: Document, name: str) -> Plugin:
    """Return the plug-in that the answer to an update of *name* tells of.

    The documented answer has nothing but the spec, and the page's own example of a request
    leaves the name out; so a template without a name is the one that the path names.

    Raises:
        UnreadableError: If it has no template, or one of another name.
    """
    template = child(child(answer, "spec"), "template")
    if not template:
        raise UnreadableError("spec.template is not there")
    plugin = read_plugin({**answer, "spec": {"template": {"name": name, **template}}})
    if plugin.template_name != name:
        raise UnreadableError("it names another plug-in")
    return plugin


def _object_or_none(value: object) -> Inputs | None:
    return value if type(value) is dict else None


def read_values(value: object) -> Inputs | None:
    """Return ``status.values`` as an object: it may be one, or JSON text of one; else None."""
    if type(value) is str:
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            return None
    return _object_or_none(value)


def _resource(one: Document) -> Resource:
    involved = one.get("involvedObject")
    named: Document = involved if type(involved) is dict else {}
    return Resource(
        kind=line(named, "kind"),
        api_version=line(named, "apiVersion"),
        namespace=line(named, "namespace"),
        name=line(named, "name", 256),
        uid=line(named, "uid"),
        resource_version=line(named, "resourceVersion"),
        replicas=whole(one, "replicas"),
        limits=texts(one, "limits"),
        requests=texts(one, "requests"),
    )


def read_plugin_list(answer: Document) -> tuple[Plugin, ...]:
    """Return the plug-ins of a pool, in the order of the answer.

    A list is evidence also for what it does not hold, so it is read strictly: an empty one
    must say that it is a plug-in list, and no template may stand in it twice.

    Raises:
        UnreadableError: If it is no such list or one of its items cannot be read.
    """
    entries = items(answer)
    kind = answer.get("kind")
    if kind is None and not entries:
        raise UnreadableError("an empty list that does not say of what")
    if kind is not None and (type(kind) is not str or kind not in LIST_KINDS):
        raise UnreadableError("kind is not PluginList")
    plugins: dict[str, Plugin] = {}
    for entry in entries:
        plugin = read_plugin(entry)
        plugins[plugin.template_name] = plugin
    if len(plugins) != len(entries):
        raise UnreadableError("a template stands in the list twice")
    return tuple(plugins.values())


def to_seen(plugin: Plugin) -> PluginSeen:
    """Return what the rules need to know about *plugin*.

    The version is what the status tells, because a default plug-in's spec has none.  The
    inputs are those of the spec, else the status's values; None when neither can be read,
    which is not the same as none.
    """
    inputs = plugin.template_inputs
    return PluginSeen(
        name=plugin.template_name,
        version=plugin.version or plugin.template_version,
        phase=plugin.phase,
        reason=plugin.reason,
        inputs=inputs if inputs is not None else plugin.values,
        created_at=plugin.created_at,
    )
