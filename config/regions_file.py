"""The official SDK's ``regions.yaml``: services by name, each with a list of regions.

Read as the SDK reads it, and no further than the one service that is asked for.  No message
repeats anything of the file's content.

Source of the format: ``huaweicloudsdkcore.region.cache.ProfileRegionCache``, 3.1.219.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ruamel.yaml import YAML, MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.error import MarkedYAMLError, YAMLError


class NotRegionsError(Exception):
    """The file is not what the SDK reads; *line* counts from 1 and is None where unknown."""

    def __init__(self, what: str, line: int | None = None) -> None:
        super().__init__(what)
        self.line = line


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Where a region's endpoint is, and on which line that stands."""

    region: str
    address: str
    line: int


def entries_of(content: bytes, service: str) -> list[Entry]:
    """Return the entries of *service*, in any spelling, in the order of the file.

    Raises:
        NotRegionsError: If it is no such file.
    """
    try:
        tree = YAML().compose(content)
        return [] if tree is None else list(_entries(tree, service.upper()))
    except RecursionError:
        raise NotRegionsError("nested too deep") from None
    except MarkedYAMLError as error:
        line = None if error.problem_mark is None else error.problem_mark.line + 1
        raise NotRegionsError("not YAML", line) from None
    except (YAMLError, UnicodeDecodeError):
        raise NotRegionsError("not YAML in UTF-8") from None


def _entries(tree: Node, service: str) -> Iterator[Entry]:
    for name, regions in _pairs(tree):
        if name.upper() != service:
            continue
        if not isinstance(regions, SequenceNode):
            raise _not_shaped("a list of regions", regions)
        for one in regions.value:
            told = dict(_pairs(one))
            region, found = _text(told.get("id")), next(_addresses(told), None)
            if region and found is not None:
                line = found.start_mark.line + 1
                yield Entry(region=region, address=_text(found), line=line)


def _pairs(node: Node) -> Iterator[tuple[str, Node]]:
    if not isinstance(node, MappingNode):
        raise _not_shaped("names with values", node)
    for key, value in node.value:
        yield _text(key), value


def _addresses(told: Mapping[str, Node]) -> Iterator[Node]:
    """Yield the addresses of one region: the list goes first, as in the SDK."""
    listed = told.get("endpoints")
    if isinstance(listed, SequenceNode):
        yield from (one for one in listed.value if _text(one))
    single = told.get("endpoint")
    if _text(single) and single is not None:
        yield single


def _text(node: Node | None) -> str:
    """Return what a scalar says; nothing for null and for anything else."""
    if not isinstance(node, ScalarNode) or node.value in {"~", "null"}:
        return ""
    return str(node.value).strip()


def _not_shaped(what: str, node: Node) -> NotRegionsError:
    return NotRegionsError(f"here must be {what}", node.start_mark.line + 1)
