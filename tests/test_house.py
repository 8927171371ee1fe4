"""The house: rules about the code itself."""

import ast
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path
from pkgutil import walk_packages

import pytest

from jobs import errors
from jobs.errors import PlugwaveError

ROOT = Path(__file__).parent.parent
PACKAGES = ("jobs", "config", "worker")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))

MODULE_LINES = 400
FUNCTION_LINES = 50
DIRECT_DEPENDENCIES = 14

CLOCK_AND_CHANCE = {
    "time.time",
    "time.time_ns",
    "datetime.now",
    "datetime.utcnow",
    "datetime.today",
    "random.random",
    "random.randint",
    "random.choice",
    "random.uniform",
    "random.shuffle",
    "uuid.uuid1",
    "uuid.uuid4",
    "asyncio.sleep",
}
"""Calls that would make a run impossible to repeat; times and chance are passed in."""

CLOCK = ROOT / "jobs" / "clock.py"

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
each_module = pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))


def tree(path: Path) -> ast.Module:
    """Return the module as a syntax tree."""
    return ast.parse(path.read_text(encoding="utf-8"))


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield every function of the module, at whatever depth."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def public(body: list[ast.stmt]) -> Iterator[Definition]:
    """Yield the public functions, classes and methods; not what is local to a function."""
    for node in body:
        if not isinstance(node, Definition) or node.name.startswith("_"):
            continue
        yield node
        if isinstance(node, ast.ClassDef):
            yield from public(node.body)


def is_part_of_another(node: Definition) -> bool:
    """Whether a function belongs to one that is documented: an overload or a setter."""
    names = {ast.unparse(decorator) for decorator in node.decorator_list}
    return any(name in {"overload", "override"} or name.endswith(".setter") for name in names)


def test_there_is_a_house() -> None:
    """The rules below look at something."""
    assert len(MODULES) > 40


@each_module
def test_a_module_has_a_size_that_can_be_read(path: Path) -> None:
    """No module is longer than 400 lines."""
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MODULE_LINES


@each_module
def test_a_function_has_a_size_that_can_be_read(path: Path) -> None:
    """No function is longer than 50 lines, its documentation left out."""
    long = {}
    for function in functions(path):
        documented = ast.get_docstring(function) is not None
        first = function.body[0].end_lineno if documented else function.lineno
        long[function.name] = (function.end_lineno or 0) - (first or 0)

    assert {name: lines for name, lines in long.items() if lines > FUNCTION_LINES} == {}


@each_module
def test_a_module_begins_with_its_duty(path: Path) -> None:
    """Every module says first, in one sentence, what it is for."""
    documentation = ast.get_docstring(tree(path)) or ""
    first = documentation.split("\n\n")[0]

    assert first, "no docstring"
    assert first.rstrip().endswith((".", "?", "!", ":")), "its first paragraph is no sentence"


@each_module
def test_a_public_name_is_explained(path: Path) -> None:
    """Every public function, method and class has a docstring."""
    unexplained = [
        node.name
        for node in public(tree(path).body)
        if ast.get_docstring(node) is None and not is_part_of_another(node)
    ]

    assert unexplained == []


@each_module
def test_time_and_chance_are_passed_in(path: Path) -> None:
    """Only the clock asks the machine for the time, and nobody draws from global chance."""
    called = {
        ".".join(ast.unparse(node.func).split(".")[-2:])
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call)
    }
    imported = {
        f"{node.module}.{name.name}"
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    }

    allowed = CLOCK_AND_CHANCE if path == CLOCK else set()
    assert (called | imported) & CLOCK_AND_CHANCE <= allowed


def all_errors(root: type[PlugwaveError]) -> Iterator[type[PlugwaveError]]:
    """Yield the class and everything that inherits from it."""
    yield root
    for kind in root.__subclasses__():
        yield from all_errors(kind)


def test_an_error_code_means_one_thing() -> None:
    """Every error of the tree has a code of its own, and no code is given out twice."""
    for module in walk_packages([str(ROOT / "jobs")], "jobs."):
        if "postgres" not in module.name:  # its driver is an extra
            import_module(module.name)
    kinds = set(all_errors(PlugwaveError))
    codes = Counter(vars(kind)["code"] for kind in kinds if "code" in vars(kind))

    assert len(codes) > 15
    assert {code: times for code, times in codes.items() if times > 1} == {}
    assert [
        kind for kind in kinds if kind.__module__ == "jobs.errors" and "code" not in vars(kind)
    ] == []


def test_an_error_says_what_to_do() -> None:
    """Every error has a code of the usual form, an exit code and a next step."""
    for kind in set(all_errors(PlugwaveError)):
        assert re.fullmatch(r"[A-Z]+-[0-9]{2}", kind.code), kind
        assert kind.exit_code in {1, 2, 3, 4, 5, 6, 7, 8, 9}, kind
        assert kind.do, kind


def test_the_tree_of_errors_is_drawn_as_it_is() -> None:
    """The drawing at the top of the module names every class, and no other."""
    drawn = set(re.findall(r"\b[A-Z]\w+Error\b", errors.__doc__ or ""))
    defined = {
        name for name, value in vars(errors).items() if isinstance(value, type) and "Error" in name
    }

    assert drawn == defined


@pytest.mark.parametrize(
    "lock", sorted(ROOT.glob("requirements*.lock")), ids=lambda lock: lock.name
)
def test_a_lock_names_no_host(lock: Path) -> None:
    """Where packages come from is the machine's business; the lock has names and hashes."""
    text = lock.read_text(encoding="utf-8")

    assert not re.search(r"://|--find-links|index-url ", text)
    assert "--hash=sha256:" in text


def test_direct_dependencies_are_few() -> None:
    """At most fourteen, without extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert 0 < len(project["dependencies"]) <= DIRECT_DEPENDENCIES


def test_the_packages_names_are_ours_alone() -> None:
    """No other distribution installs a package called worker, config or jobs."""
    try:
        distribution("plugwave")
    except PackageNotFoundError:
        pytest.skip("plugwave is not installed here, so nobody owns the names yet")
    owners = packages_distributions()

    strangers = {name: set(owners.get(name, ())) - {"plugwave"} for name in PACKAGES}
    assert strangers == {name: set() for name in PACKAGES}
