"""Loading: seven sources, one order, and every value knows where it comes from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from config.keys import Key, all_keys, path_of_variable, suggestion
from config.loading import Loaded, Places, load
from config.masking import mask_text
from config.sources import Flag, key_lines
from jobs.errors import ConfigError
from tests import planted

TOKEN = planted.credential("tok-4711-")


@dataclass
class Machine:
    """Folders of a pretended machine, its environment, and what the command line says."""

    root: Path
    environ: dict[str, str] = field(default_factory=dict)
    flags: dict[str, Flag] = field(default_factory=dict)
    config_file: Path | None = None

    @property
    def places(self) -> Places:
        return Places(
            cwd=self.root / "cwd",
            user_config=self.root / "user",
            system_config=self.root / "etc",
            state=self.root / "state",
        )

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    def load(self) -> Loaded:
        return load(
            environ=self.environ,
            places=self.places,
            flags=self.flags,
            config_file=self.config_file,
        )

    def problems(self) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            self.load()
        problems = caught.value.facts["problems"]
        assert isinstance(problems, list)
        assert all(problem in str(caught.value) for problem in problems)
        return problems

    def problem(self) -> str:
        [problem] = self.problems()
        return problem


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Return a machine on which nothing is set."""
    return Machine(tmp_path)


def give_rate(machine: Machine, source: str, rate: float) -> str:
    """Let *source* give the rate; return the origin that must be told."""
    toml = f"# a comment\n[cloud]\nrate = {rate}\n"
    match source:
        case "flag":
            machine.flags["cloud.rate"] = Flag("--rate", rate)
            return "--rate"
        case "variable":
            machine.environ["PLUGWAVE_CLOUD__RATE"] = str(rate)
            return "PLUGWAVE_CLOUD__RATE"
        case "--config":
            machine.config_file = machine.write("named.toml", toml)
            return f"{machine.config_file}:3"
        case "default":
            return "default"
        case folder:
            name = "plugwave.toml" if folder == "cwd" else "config.toml"
            return f"{machine.write(f'{folder}/{name}', toml)}:3"


SOURCES = ["flag", "variable", "--config", "cwd", "user", "etc", "default"]


@pytest.mark.parametrize("strongest", range(len(SOURCES)), ids=SOURCES)
def test_the_stronger_source_wins_and_is_named(machine: Machine, strongest: int) -> None:
    """Option > variable > --config > ./plugwave.toml > user file > machine's file > default."""
    rates = {source: 10.0 + place for place, source in enumerate(SOURCES)} | {"default": 5.0}
    origins = {source: give_rate(machine, source, rates[source]) for source in SOURCES[strongest:]}

    loaded = machine.load()

    assert loaded.settings.cloud.rate == rates[SOURCES[strongest]]
    assert loaded.origins["cloud.rate"] == origins[SOURCES[strongest]]


def test_sources_are_merged_key_by_key(machine: Machine) -> None:
    """A stronger file that sets one key leaves the other keys of a weaker one in force."""
    machine.write("etc/config.toml", "[cloud]\nrate = 2\nburst = 3\n")
    machine.write("cwd/plugwave.toml", "cloud.rate = 4\n")

    loaded = machine.load()

    assert loaded.settings.cloud.rate == 4
    assert loaded.settings.cloud.burst == 3
    assert loaded.origins["cloud.rate"] == f"{machine.root}/cwd/plugwave.toml:1"
    assert loaded.origins["cloud.burst"] == f"{machine.root}/etc/config.toml:3"
    assert loaded.files == (
        f"{machine.root}/cwd/plugwave.toml",
        f"{machine.root}/etc/config.toml",
    )


def test_without_any_source_everything_is_default(machine: Machine) -> None:
    """An empty machine works, and says that all is default."""
    loaded = machine.load()

    assert set(loaded.origins.values()) == {"default"}
    assert set(loaded.origins) == {key.name for key in all_keys().values()}
    assert loaded.settings.store.sqlite_path == machine.root / "state" / "state.db"


def test_an_option_that_was_not_given_says_nothing(machine: Machine) -> None:
    """A command may hand over all its options; those without a value do not count."""
    machine.flags["worker.slots"] = Flag("--slots", None)
    machine.environ["PLUGWAVE_WORKER__SLOTS"] = "8"

    assert machine.load().settings.worker.slots == 8


def test_an_empty_variable_counts_as_not_set(machine: Machine) -> None:
    """Compose files pass empty variables on; they do not blank out a setting."""
    machine.environ["PLUGWAVE_CLOUD__REGION"] = ""

    loaded = machine.load()

    assert loaded.settings.cloud.region is None
    assert loaded.origins["cloud.region"] == "default"


def test_plugwave_config_names_a_file_like_the_option(machine: Machine) -> None:
    """``PLUGWAVE_CONFIG`` is ``--config`` for those who cannot change the command."""
    path = machine.write("named.toml", "[worker]\nslots = 4\n")
    machine.environ["PLUGWAVE_CONFIG"] = str(path)

    assert machine.load().settings.worker.slots == 4


def test_a_file_that_was_named_must_exist(machine: Machine) -> None:
    """A typo in ``--config`` is an error, not a start with default limits."""
    machine.config_file = machine.root / "missing.toml"

    assert "missing.toml: no such file" in machine.problem()


def test_a_file_that_cannot_be_read_is_an_error(machine: Machine) -> None:
    """Going on without a file that is there could mean going on without its limits."""
    (machine.root / "etc" / "config.toml").mkdir(parents=True)

    assert "config.toml: cannot read it: is a directory" in machine.problem()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[cloud\nrate = 1\n", "not TOML: "),
        (b"rate = \xff\n", "not UTF-8"),
        (b"#" * 1_048_577, "more than 1 MiB"),
    ],
)
def test_a_file_that_is_no_toml_is_named(machine: Machine, content: bytes, said: str) -> None:
    """What is wrong with a file is told with the file's name."""
    path = machine.write("cwd/plugwave.toml", "")
    path.write_bytes(content)

    assert machine.problem().startswith(f"{path}: {said}")


def test_a_syntax_error_has_its_line(machine: Machine) -> None:
    """A TOML mistake is told with line and column."""
    machine.write("cwd/plugwave.toml", "[cloud]\nrate 5\n")

    assert "line 2" in machine.problem()


@pytest.mark.parametrize(
    ("text", "line", "suggested"),
    [
        ("[cloud]\nburst = 1\nrat = 5\n", 3, "cloud.rate"),
        ("[cloud]\nmaxInFlight = 5\n", 2, "cloud.max_in_flight"),
        ("[cloud]\nmax-in-flight = 5\n", 2, "cloud.max_in_flight"),
        ("[clowd]\nrate = 5\n", 1, "cloud"),
        ("rate = 5\n", 1, "cloud.rate"),
        ("[worker]\nrate = 5\n", 2, "cloud.rate"),
        ("cloud.rat = 5\n", 1, "cloud.rate"),
        ("cloud = { rat = 5 }\n", 1, "cloud.rate"),
        ("[cloud]\nca_file = '''\nrat = 1\n'''\nrat = 5\n", 5, "cloud.rate"),
    ],
)
def test_an_unknown_key_is_told_with_line_and_suggestion(
    machine: Machine, text: str, line: int, suggested: str
) -> None:
    """A typo in a file names the file, the line and the key that was probably meant."""
    path = machine.write("cwd/plugwave.toml", text)

    problem = machine.problem()

    assert problem.startswith(f"{path}:{line}: unknown ")
    assert problem.endswith(f"did you mean {suggested!r}?")


@pytest.mark.parametrize(
    ("variable", "suggested"),
    [
        ("PLUGWAVE_CLOUD__RAT", "PLUGWAVE_CLOUD__RATE"),
        ("PLUGWAVE_CLOUD_RATE", "PLUGWAVE_CLOUD__RATE"),
        ("PLUGWAVE_RATE", "PLUGWAVE_CLOUD__RATE"),
        ("PLUGWAVE_cloud__rate", "PLUGWAVE_CLOUD__RATE"),
        ("PLUGWAVE_CONFG", "PLUGWAVE_CONFIG"),
    ],
)
def test_an_unknown_variable_is_told_with_a_suggestion(
    machine: Machine, variable: str, suggested: str
) -> None:
    """A misspelt variable would silently do nothing, so it is an error."""
    machine.environ[variable] = "5"

    assert machine.problem() == f"unknown variable {variable} — did you mean {suggested!r}?"


def test_a_key_like_no_other_gets_no_suggestion() -> None:
    """A guess that helps nobody is left out."""
    assert suggestion("cloud.zzz", ["cloud.rate"]) == ""


def test_variables_of_global_options_and_other_programs_are_left_alone(machine: Machine) -> None:
    """PLUGWAVE_SERVER and its like are options, and other prefixes are none of our business."""
    machine.environ |= {
        "PLUGWAVE_SERVER": "http://127.0.0.1:1",
        "PLUGWAVE_NO_COLOR": "1",
        "PLUGWAVES": "x",
        "HOME": "/x",
    }

    assert set(machine.load().origins.values()) == {"default"}


def test_all_mistakes_are_told_at_once(machine: Machine) -> None:
    """One run shows every mistake of every source, not only the first."""
    path = machine.write("etc/config.toml", "[cloud]\nrat = 1\nburst = 0\n[worker]\nlease = 1\n")
    machine.environ |= {"PLUGWAVE_CLOUD__SETTLE": "soon", "PLUGWAVE_NONSENSE": "1"}

    problems = machine.problems()

    assert len(problems) == 5
    for start in (
        "unknown variable PLUGWAVE_NONSENSE",
        "cloud.settle (PLUGWAVE_CLOUD__SETTLE): ",
        f"{path}:2: unknown key 'cloud.rat'",
        f"cloud.burst ({path}:3): must be greater than or equal to 1",
        f"worker.lease ({path}:5): must be greater than or equal to 2",
    ):
        assert [problem for problem in problems if problem.startswith(start)], start


def test_a_contradiction_names_the_places_of_both_sides(machine: Machine) -> None:
    """When two keys contradict each other, it is told where each of them was set."""
    path = machine.write("etc/config.toml", "[cloud]\nendpoint = 'https://example.com'\n")
    machine.environ["PLUGWAVE_CLOUD__AUTH"] = "none"

    problem = machine.problem()

    assert "cloud.auth is from PLUGWAVE_CLOUD__AUTH" in problem
    assert f"cloud.endpoint is from {path}:2" in problem


@pytest.mark.parametrize("text", ["cloud = 5\n", "cloud = 'x'\n", "cloud = [1]\n"])
def test_a_section_must_be_a_table(machine: Machine, text: str) -> None:
    """``cloud = 5`` says how a section is written."""
    path = machine.write("cwd/plugwave.toml", text)

    assert machine.problem() == f"{path}:1: 'cloud' is a section; write [cloud]"


def test_a_table_where_a_value_belongs_is_an_error(machine: Machine) -> None:
    """``[cloud.rate]`` is refused at the key it replaces."""
    path = machine.write("cwd/plugwave.toml", "[cloud.rate]\nx = 1\n")

    assert machine.problem().startswith(f"cloud.rate ({path}:1): ")


class TestRegionEndpoints:
    """``cloud.endpoints.REGION`` is one key for each region."""

    def test_files_and_variables_are_merged_region_by_region(self, machine: Machine) -> None:
        """A variable for one region leaves the file's other regions in force."""
        machine.write(
            "etc/config.toml",
            "[cloud.endpoints]\ncn-north-4 = 'https://a.example'\neu-west-1 = 'https://b.example'\n",
        )
        machine.environ["PLUGWAVE_CLOUD__ENDPOINTS__CN_NORTH_4"] = "https://c.example"

        loaded = machine.load()

        assert loaded.settings.cloud.endpoints == {
            "cn-north-4": "https://c.example",
            "eu-west-1": "https://b.example",
        }
        assert (
            loaded.origins["cloud.endpoints.cn-north-4"] == "PLUGWAVE_CLOUD__ENDPOINTS__CN_NORTH_4"
        )
        assert loaded.origins["cloud.endpoints.eu-west-1"].endswith("config.toml:3")

    def test_a_wrong_one_is_told_with_its_place(self, machine: Machine) -> None:
        """An endpoint that is none names its line."""
        path = machine.write("etc/config.toml", "[cloud.endpoints]\ncn-north-4 = 'nowhere'\n")

        assert machine.problem().startswith(
            f"cloud.endpoints.cn-north-4 ({path}:2): not an endpoint"
        )

    def test_one_value_for_all_is_an_error(self, machine: Machine) -> None:
        """Without a region the key has no meaning."""
        machine.environ["PLUGWAVE_CLOUD__ENDPOINTS"] = "https://a.example"

        assert "cloud.endpoints (PLUGWAVE_CLOUD__ENDPOINTS): " in machine.problem()

    def test_nothing_lies_below_a_region(self, machine: Machine) -> None:
        """Deeper names are unknown."""
        machine.environ["PLUGWAVE_CLOUD__ENDPOINTS__X__Y"] = "https://a.example"

        assert "unknown variable" in machine.problem()


class TestSecrets:
    """A secret comes from a file as well as from a variable, and is never shown."""

    def test_a_variable_may_name_a_file(self, machine: Machine) -> None:
        """``PLUGWAVE_CLOUD__TOKEN_FILE`` is for container secrets."""
        path = machine.write("run/token", f"{TOKEN}\n")
        machine.environ["PLUGWAVE_CLOUD__TOKEN_FILE"] = str(path)

        loaded = machine.load()

        assert token_of(loaded) == TOKEN
        assert loaded.settings.cloud.token_file == path
        assert loaded.origins["cloud.token"] == "PLUGWAVE_CLOUD__TOKEN_FILE (cloud.token_file)"

    def test_a_stores_address_may_come_from_a_file(self, machine: Machine) -> None:
        """An address with a password can be kept like any other secret."""
        path = machine.write("run/url", "postgresql://u:hunter2@db/q\n")
        machine.write("etc/config.toml", f"[store]\nurl_file = '{path}'\n")

        loaded = machine.load()

        assert loaded.settings.store.url.get_secret_value() == "postgresql://u:hunter2@db/q"
        assert loaded.secrets == ("hunter2",)

    def test_systemd_credentials_are_found_by_key_name(self, machine: Machine) -> None:
        """``LoadCredential=cloud.token:…`` is enough; no variable is needed."""
        path = machine.write("creds/cloud.token", TOKEN)
        machine.environ["CREDENTIALS_DIRECTORY"] = str(path.parent)

        loaded = machine.load()

        assert token_of(loaded) == TOKEN
        assert loaded.origins["cloud.token"] == "$CREDENTIALS_DIRECTORY/cloud.token"

    def test_a_variable_is_stronger_than_a_credential_and_that_than_a_file(
        self, machine: Machine
    ) -> None:
        """Credentials stand between the environment and the files."""
        path = machine.write("creds/cloud.token", "from-credential")
        machine.environ["CREDENTIALS_DIRECTORY"] = str(path.parent)
        machine.write("etc/config.toml", "[cloud]\ntoken = 'from-file'\n")

        assert token_of(machine.load()) == "from-credential"
        machine.environ["PLUGWAVE_CLOUD__TOKEN"] = "from-variable"
        assert token_of(machine.load()) == "from-variable"

    @pytest.mark.parametrize("stronger", ["token", "token_file"])
    def test_the_stronger_source_decides_between_secret_and_file(
        self, machine: Machine, stronger: str
    ) -> None:
        """A token in a variable wins over a token file in /etc, and the other way round."""
        path = machine.write("run/token", "from-the-file")
        if stronger == "token":
            machine.write("etc/config.toml", f"[cloud]\ntoken_file = '{path}'\n")
            machine.environ["PLUGWAVE_CLOUD__TOKEN"] = "plain-one"
        else:
            machine.write("etc/config.toml", "[cloud]\ntoken = 'plain-one'\n")
            machine.environ["PLUGWAVE_CLOUD__TOKEN_FILE"] = str(path)

        loaded = machine.load()

        assert token_of(loaded) == ("plain-one" if stronger == "token" else "from-the-file")
        assert (loaded.settings.cloud.token_file is None) is (stronger == "token")

    def test_both_in_one_source_are_a_contradiction(self, machine: Machine) -> None:
        """Who gives a secret twice is asked which one is meant."""
        machine.environ |= {
            "PLUGWAVE_CLOUD__TOKEN": TOKEN,
            "PLUGWAVE_CLOUD__TOKEN_FILE": "/run/token",
        }

        assert any(
            "both set (PLUGWAVE_CLOUD__TOKEN); keep one" in problem
            for problem in machine.problems()
        )

    @pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff\xfe", b"x" * 65_537])
    def test_a_secret_file_that_holds_none_is_an_error(
        self, machine: Machine, content: bytes | None
    ) -> None:
        """A missing, empty, binary or huge secret file is told, with its name only."""
        path = machine.root / "token"
        if content is not None:
            path.write_bytes(content)
        machine.environ["PLUGWAVE_CLOUD__TOKEN_FILE"] = str(path)

        problem = machine.problem()

        assert "(PLUGWAVE_CLOUD__TOKEN_FILE)" in problem
        assert str(path) in problem

    @pytest.mark.parametrize(
        "environ",
        [
            {"PLUGWAVE_CLOUD__TOKEN": f"{TOKEN} {TOKEN}"},
            {"PLUGWAVE_CLOUD__TOKEN": TOKEN, "PLUGWAVE_CLOUD__AUTH": "tokn"},
            {"PLUGWAVE_STORE__URL": f"mysql://u:{TOKEN}@db/q"},
            {"PLUGWAVE_STORE__URL": f"postgresql://u:{TOKEN}/x@db/q"},
            {"PLUGWAVE_CLOUD__ENDPOINT": f"https://u:{TOKEN}@example.com"},
            {"PLUGWAVE_CLOUD__TOKN": TOKEN},
        ],
    )
    def test_no_error_shows_a_secret(self, machine: Machine, environ: Mapping[str, str]) -> None:
        """A mistake in a secret, or next to one, is told without it."""
        machine.environ |= environ

        with pytest.raises(ConfigError) as caught:
            machine.load()

        assert TOKEN not in str(caught.value)
        assert TOKEN not in repr(caught.value.as_dict())
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None

    def test_no_repr_shows_a_secret(self, machine: Machine) -> None:
        """What was loaded can be printed while debugging."""
        machine.environ |= {
            "PLUGWAVE_CLOUD__TOKEN": TOKEN,
            "PLUGWAVE_STORE__URL": f"postgresql://u:{TOKEN}@db/q",
        }

        loaded = machine.load()

        assert loaded.secrets == (TOKEN, TOKEN)
        assert TOKEN not in repr(loaded)


@pytest.mark.parametrize(
    "environ",
    [
        {"PLUGWAVE_CLOUD__AUTH": "none"},
        {"PLUGWAVE_CLOUD__AUTH": "token"},
        {"PLUGWAVE_CLOUD__AUTH": "tokn"},
        {"PLUGWAVE_CLOUD__TOKEN": "two words"},
        {"PLUGWAVE_TOKEN": "x"},
        {"PLUGWAVE_CLOUD__TOKEN_FILE": "/nowhere/file"},
        {"PLUGWAVE_CLOUD__AUTH": "none", "PLUGWAVE_CLOUD__ENDPOINT": "https://example.com"},
        {"PLUGWAVE_CLOUD__TOKEN": "x", "PLUGWAVE_CLOUD__TOKEN_FILE": "/nowhere/file"},
    ],
)
def test_masking_spoils_no_message_about_settings(
    machine: Machine, environ: Mapping[str, str]
) -> None:
    """Commands mask every error they print; ours stay readable, though they speak of tokens."""
    machine.environ |= environ

    for problem in machine.problems():
        assert mask_text(problem) == problem


def token_of(loaded: Loaded) -> str | None:
    """Return the token that was loaded."""
    token = loaded.settings.cloud.token
    return None if token is None else token.get_secret_value()


def test_a_command_cannot_set_a_key_that_does_not_exist(machine: Machine) -> None:
    """An option for an unknown key is a bug of the command, not of the operator."""
    machine.flags["worker.slot"] = Flag("--slots", 8)

    with pytest.raises(KeyError, match=r"worker\.slot"):
        machine.load()


@pytest.mark.parametrize("key", all_keys().values(), ids=lambda key: key.name)
def test_every_key_has_a_variable(key: Key) -> None:
    """The variable that the settings page names sets just that key."""
    assert path_of_variable(key.variable) == key.path


def test_lines_are_found_whatever_the_way_of_writing() -> None:
    """Headers, dotted and quoted keys are found at their line; text inside strings is not."""
    text = '[a]\nx = 1\n"y-z" = 2\nb.c = 3\n[ d . e ]\nt = """\nfake = 1\n"""\nlast = 4\n'

    assert key_lines(text) == {
        ("a",): 1,
        ("a", "x"): 2,
        ("a", "y-z"): 3,
        ("a", "b", "c"): 4,
        ("d", "e"): 5,
        ("d", "e", "t"): 6,
        ("d", "e", "last"): 9,
    }


class TestPlaces:
    """Where a machine keeps settings and state."""

    def test_the_xdg_folders_are_used(self) -> None:
        """``$XDG_STATE_HOME`` and ``$XDG_CONFIG_HOME`` decide where they are set."""
        environ = {"HOME": "/h", "XDG_STATE_HOME": "/s", "XDG_CONFIG_HOME": "/c"}

        places = Places.of_machine(environ, Path("/w"))

        assert places.state == Path("/s/plugwave")
        assert places.user_config == Path("/c/plugwave")
        assert places.cwd == Path("/w")
        assert places.system_config == Path("/etc/plugwave")

    def test_a_service_without_a_home_keeps_its_state_under_var_lib(self) -> None:
        """Without a home folder the state is the machine's."""
        places = Places.of_machine({}, Path("/"))

        assert places.state == Path("/var/lib/plugwave")
        assert places.user_config == places.system_config

    def test_a_relative_xdg_folder_is_ignored(self) -> None:
        """As the XDG specification wants it."""
        places = Places.of_machine({"XDG_STATE_HOME": "s"}, Path("/"))

        assert places.state == Path("/var/lib/plugwave")

    def test_a_user_with_a_home_has_an_own_state(self) -> None:
        """People do not need to be root to try the program."""
        places = Places.of_machine({"HOME": "/h"}, Path("/"))

        assert places.state.is_absolute()
        assert places.state != Path("/var/lib/plugwave")
        assert places.state.name == "plugwave"
