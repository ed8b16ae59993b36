"""Settings: their layers, the origin of each, and that every mistake in any of them is named at once."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from gork.config.ensemble import load_ensemble, shipped_ensembles
from gork.config.load import Setting
from gork.config.schema import Wrong, parse_value, placeholder, read_value
from gork.config.settings import OF_CHOOSING, OF_ENSEMBLE, SETTINGS, Layer, Origin, Settings, load_settings, parse_host
from gork.config.show import settings_document, show_config
from gork.engines.choose import deadlines_of
from gork.errors import ConfigError


def load(flags: dict[str, object] | None = None, **environ: str) -> Settings:
    """Settings from flags and an environment that has nothing else in it."""
    return load_settings(flags or {}, environ)


def mistakes(flags: dict[str, object] | None = None, **environ: str) -> list[str]:
    """The mistakes that loading these ends with."""
    with pytest.raises(ConfigError) as caught:
        load_settings(flags or {}, environ)
    return list(caught.value.mistakes)


@pytest.fixture
def config(tmp_path, monkeypatch):
    """Writes config.yaml into an own working folder and gives its name as --config has it."""
    monkeypatch.chdir(tmp_path)

    def write(text: str | bytes) -> str:
        Path("config.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
        return "config.yaml"

    return write


def test_without_anything_given_everything_is_a_default():
    """With nothing set the full ensemble stands in, not chosen by hand, and the deadlines are those of the documentation."""
    settings = load()

    assert settings.ensemble.name == "heavy-lite"
    assert not settings.ensemble_given
    assert not settings.ollama_host_given
    assert settings.ollama_host == "http://127.0.0.1:11434"
    assert (settings.engine, settings.seed, settings.threads, settings.cache, settings.token) == ("auto", None, None, None, None)
    assert (settings.optimize, settings.strict, settings.offline) == (True, False, False)
    assert (settings.timeout, settings.rewrite_timeout, settings.candidate_timeout, settings.judge_timeout) == (300, 20, 180, 60)
    assert settings.drain_timeout == 30
    deadlines = deadlines_of(settings)
    assert (deadlines.connect, deadlines.load, deadlines.first_token, deadlines.prefill_rate, deadlines.idle) == (5, 600, 60, 10, 30)
    assert {settings.origins[name] for name in SETTINGS} == {Origin(), Origin(Layer.ENSEMBLE, "heavy-lite")}


def test_each_layer_stands_above_the_one_before(config):
    """Defaults < ensemble file < user's file < environment < flags, and each value says which layer it is from."""
    file = config("context: 2048\ncandidates_see: both\nseed: 1\nstrict: true\ntimeout: 100\n")

    settings = load({"config": file, "ensemble": "tiny", "timeout": "50"}, GORK_SEED="2", GORK_TIMEOUT="60", GORK_STRICT="no")

    assert settings.ensemble.choosing.judge_tokens == 450
    assert settings.ensemble.context == 2048
    assert settings.ensemble.candidates_see == "both"
    assert (settings.seed, settings.strict, settings.timeout, settings.idle_timeout) == (2, False, 50, 30)
    names = ("judge_tokens", "context", "candidates_see", "seed", "strict", "timeout", "idle_timeout", "ensemble")
    assert [settings.origins[name] for name in names] == [
        Origin(Layer.ENSEMBLE, "tiny"),
        Origin(Layer.FILE, "config.yaml:1"),
        Origin(Layer.FILE, "config.yaml:2"),
        Origin(Layer.ENVIRONMENT, "GORK_SEED"),
        Origin(Layer.ENVIRONMENT, "GORK_STRICT"),
        Origin(Layer.FLAG, "--timeout"),
        Origin(Layer.DEFAULT),
        Origin(Layer.FLAG, "--ensemble"),
    ]


def some_value(setting: Setting) -> str:
    """A value other than the default, as it is typed: the last choice of several, else a number that its bounds allow."""
    choices = placeholder(setting.kind).strip("{}").split(",")
    if setting.what == "true or false":
        return "false"
    if len(choices) > 1:
        return next(choice for choice in reversed(choices) if choice != setting.default)
    for number in ("777", "7"):
        with contextlib.suppress(Wrong):
            parse_value(setting.kind, number)
            return number
    raise AssertionError(f"{setting.name}: add a value to the table")


@pytest.mark.parametrize("layer", ["file", "environment", "flag"])
@pytest.mark.parametrize("setting", [setting for setting in SETTINGS.values() if not setting.secret], ids=lambda setting: setting.name)
def test_every_setting_can_be_given_in_every_layer(config, setting, layer):
    """One table feeds all layers: a value given in any of them arrives, with its origin."""
    text = {
        "ensemble": "tiny",
        "engine": "ollama",
        "ollama_host": "h:1",
        "openai_host": "http://h:1/v1",
        "keep_alive": "1h30m",
        "models": "a,b",
        "judge": "j",
        "promptimizer": "p",
        "cache": "/c",
        "sessions": "/s",
        "data": "/d",
        "candidates_see": "both",
        "server": "http://s:8080",
        "host": "localhost",
        "body_limit": "7777",
        "cors": "https://a.example, http://b.example:81",
        "log_format": "json",
        "log_level": "error",
    }.get(setting.name) or some_value(setting)
    beside = {"models": "a,b"} if setting.name in {"judge", "promptimizer"} else {}
    if layer == "file":
        settings = load({"config": config(f"{setting.name}: {text}\n"), **beside})
    elif layer == "environment":
        settings = load(beside, **{setting.variable: text})
    else:
        settings = load({setting.name: text, **beside})

    expected = {"file": "config.yaml:1", "environment": setting.variable, "flag": setting.flag}[layer]
    assert str(settings.origins[setting.name]) == expected
    shown = dict(line.split(": ", 1) for line in show_config(settings).splitlines() if line.startswith(f"{setting.name}: "))
    assert shown[setting.name].split("  #")[0].strip().strip('"') == {"ollama_host": "http://h:1", "models": "a, b"}.get(setting.name, text)


def test_the_table_of_settings_is_of_one_piece():
    """Every name is one variable, one flag, and no member's variable; every default is a value that could be given; all are documented."""
    assert not any(setting.variable.endswith(("_URL", "_MODEL", "_FILE")) for setting in SETTINGS.values())
    assert {setting.field for setting in SETTINGS.values()} == {*Settings.__struct_fields__} - {"ensemble", "members", "origins"}
    for name, setting in SETTINGS.items():
        if setting.default is not None:
            assert read_value(setting.kind, list(setting.default) if setting.default == () else setting.default) == setting.default
        assert f"| `{name}` | `{setting.variable}`" in settings_document()


def test_flags_may_be_text_or_values():
    """A flag's text is parsed; what is already a value is checked alike; None is a flag that was not given."""
    settings = load({"seed": 5, "timeout": "1.5", "optimize": False, "strict": True, "ollama_host": None, "config": None})

    assert (settings.seed, settings.timeout, settings.optimize, settings.strict) == (5, 1.5, False, True)
    assert str(settings.origins["optimize"]) == "--no-optimize"
    assert str(settings.origins["strict"]) == "--strict"
    assert mistakes({"seed": True}) == ["--seed: must be a whole number from 0 to 2147483647, not true"]
    with pytest.raises(TypeError, match="no settings: json"):
        load({"json": True})


@pytest.mark.parametrize("empty", ["", " ", "\t\n"])
def test_an_empty_variable_is_not_set(empty):
    """An empty or blank variable means the same as none, whatever its name."""
    settings = load(GORK_SEED=empty, GORK_QWEN_URL=empty, GORK_TOKEN=empty, GORK_CONFIG=empty, GORK_NONSENSE=empty, OLLAMA_HOST=empty)

    assert settings == load()


def test_an_unknown_variable_is_a_mistake_with_a_suggestion():
    """A misspelt variable would otherwise be silently without effect."""
    assert mistakes(GORK_SED="1", GORK_QWN_SMALL_URL="http://a", GORK_XYZZY_XYZZY="1") == [
        'GORK_QWN_SMALL_URL: unknown variable, did you mean "GORK_QWEN_SMALL_URL"?',
        'GORK_SED: unknown variable, did you mean "GORK_SEED"?',
        "GORK_XYZZY_XYZZY: unknown variable",
    ]


def test_variables_of_tests_and_of_a_cluster_are_left_alone():
    """Tests have variables of their own, and Kubernetes sets some for each Service whose name begins as ours do."""
    load(
        GORK_TEST_ANYTHING="1",
        GORK_WEB_SERVICE_HOST="10.0.0.1",
        GORK_WEB_SERVICE_PORT="80",
        GORK_WEB_SERVICE_PORT_HTTP="80",
        GORK_WEB_PORT="tcp://10.0.0.1:80",
        GORK_WEB_PORT_80_TCP="tcp://10.0.0.1:80",
        GORK_WEB_PORT_80_TCP_PROTO="tcp",
        GORK_WEB_PORT_80_TCP_PORT="80",
        GORK_WEB_PORT_80_TCP_ADDR="10.0.0.1",
        GORK_SERVICE_HOST="10.0.0.1",
        GORK_PORT="tcp://10.0.0.1:80",
        GORKY_PARK="1",
        gork_seed="x",
    )


def test_members_are_overridden_by_variables_and_by_the_file(config):
    """A member's url and model stand above the ensemble file; a dash of its name is an underscore in the variable."""
    file = config("members:\n  qwen: {url: 'http://file:1', model: 'file:1b'}\n  judge:\n    model: judge:2b\n")

    settings = load({"config": file}, GORK_QWEN_SMALL_URL="http://small:11434/", GORK_QWEN_URL="http://variable:1")

    members = {member.name: member for member in settings.ensemble.members}
    assert (members["qwen-small"].url, members["qwen-small"].model) == ("http://small:11434", "qwen3:0.6b")
    assert (members["qwen"].url, members["qwen"].model) == ("http://variable:1", "file:1b")
    assert (members["judge"].url, members["judge"].model) == (None, "judge:2b")
    assert members["llama"] == next(member for member in load_ensemble("heavy-lite").members if member.name == "llama")
    assert str(settings.origins["members.qwen-small.url"]) == "GORK_QWEN_SMALL_URL"
    assert str(settings.origins["members.qwen.url"]) == "GORK_QWEN_URL"
    assert str(settings.origins["members.qwen.model"]) == "config.yaml:2"
    assert str(settings.origins["members.judge.model"]) == "config.yaml:4"
    assert str(settings.origins["members.llama.model"]) == "ensemble heavy-lite"


def test_a_member_that_is_in_no_ensemble_is_a_mistake(config):
    """Members of shipped ensembles may be named although another is in use; any other name is misspelt."""
    file = config("members:\n  coder: {model: x}\n  qwem: {model: x}\n  A_B: {model: x}\n")

    assert mistakes({"config": file}) == [
        'config.yaml:4: members.A_B: must be a name of lower-case letters, digits and dashes (at most 63), not the text "A_B"',
        'config.yaml:3: members.qwem: no such member, did you mean "qwen"?',
    ]


def test_an_ensemble_set_later_gets_what_the_user_said_of_it(config):
    """The choice of the engine may change the ensemble: overrides of its members, context and choosing are put on it anew."""
    file = config("candidates_see: both\nmembers: {qwen: {model: mine:1b}}\n")
    settings = load({"config": file}, GORK_CODER_MODEL="other:1b")
    before = settings.with_ensemble(load_ensemble("heavy-lite"))

    after = settings.with_ensemble(load_ensemble("tiny"), Origin(Layer.CHOICE, "no Ollama answers"))

    assert before.ensemble == settings.ensemble
    assert before.ensemble.candidates[1].model == "mine:1b"
    assert after.ensemble.name == "tiny"
    assert [member.model for member in after.ensemble.candidates] == ["smollm2:135m", "other:1b", "smollm2:135m"]
    assert (after.ensemble.candidates_see, after.ensemble.choosing.judge_tokens) == ("both", 450)
    assert str(after.origins["ensemble"]) == "no Ollama answers"
    assert [str(after.origins[name]) for name in ("candidates_see", "judge_tokens")] == ["config.yaml:1", "ensemble tiny"]
    assert str(after.origins["members.coder.model"]) == "GORK_CODER_MODEL"
    assert "# not used, there is no qwen in tiny: config.yaml:2" in show_config(after)
    assert after.with_ensemble(load_ensemble("heavy-lite"), Origin()) == settings


def test_values_that_do_not_go_together_are_named_when_the_ensemble_is_known():
    """A context that the ensemble's own limits do not fit is a mistake for that ensemble, not for one that is not yet chosen."""
    settings = load(GORK_CONTEXT="512")

    assert settings.with_ensemble(load_ensemble("tiny")).ensemble.context == 512
    with pytest.raises(ConfigError, match=r"^GORK_CONTEXT: choosing\.judge_tokens: 800 do not fit a context of 512"):
        settings.with_ensemble(load_ensemble("heavy-lite"))
    assert mistakes({"ensemble": "heavy-lite"}, GORK_CONTEXT="512")[0] == (
        "GORK_CONTEXT: choosing.judge_tokens: 800 do not fit a context of 512"
    )


def test_all_mistakes_of_all_layers_are_listed_at_once(config):
    """Flags, variables, the user's file and the ensemble file are all read before anything is said."""
    file = config("sed: 1\ntimeout: soon\nmembers: {qwen: {url: nowhere}}\n")
    Path("mine.yaml").write_text("name: mine\n")

    assert mistakes({"config": file, "ensemble": "mine.yaml", "seed": "x"}, GORK_STRICT="maybe", GORK_SED="1") == [
        '--seed: must be a whole number from 0 to 2147483647, not the text "x"',
        'GORK_STRICT: must be true or false, not the text "maybe"',
        'config.yaml:1: sed: unknown key, did you mean "seed"?',
        'config.yaml:2: timeout: must be a number from 0.1 to 86400, not the text "soon"',
        'config.yaml:3: members.qwen.url: "nowhere" must begin with http:// or https:// (did you mean "http://nowhere"?)',
        'GORK_SED: unknown variable, did you mean "GORK_SEED"?',
        'mine.yaml:1: "candidates" is missing',
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("seed: [", "config.yaml:1:8: not YAML: "),
        ("- seed", "config.yaml:1: must be a mapping (key: value), not a list"),
        (b"\x00\xff\xfe", "config.yaml:1: is not UTF-8 text; is it the right file?"),
        (b"#" * ((1 << 20) + 1), "config.yaml: is larger than 1 MiB; is it the right file?"),
        ("strict: 'yes'", 'config.yaml:1: strict: must be true or false, not the text "yes"'),
        ("seed: '7'", 'config.yaml:1: seed: must be a whole number from 0 to 2147483647, not the text "7"'),
        ("seed: 1\nseed: 2", "config.yaml:2: seed: given twice, first in line 1"),
        ("ollama_host: 'http://me:secret@h'", 'config.yaml:1: ollama_host: "http://***@h" credentials in a URL are not supported'),
        ("members: [a]", "config.yaml:1: members: must be a mapping (key: value), not a list"),
        ("members: {qwen: x}", 'config.yaml:1: members.qwen: must be a mapping (key: value), not the text "x"'),
        ("members: {qwen: {ulr: x}}", 'config.yaml:1: members.qwen.ulr: unknown key, did you mean "url"?'),
        ("seed: 1\ntoken: 'two words'", "config.yaml:2: token: must be a token"),
    ],
)
def test_a_mistake_in_the_users_file_is_named_with_its_place(config, text, expected):
    """Whatever is wrong with the file is one line with its place, without secrets."""
    (only,) = mistakes({"config": config(text)})

    assert only.startswith(expected)
    assert "secret" not in only
    assert "two words" not in only


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n", "null\n", "seed: null\nmembers:\n", "members: {qwen: null}"])
def test_a_file_with_nothing_in_it_sets_nothing(config, text):
    """An empty file, and keys without a value, leave everything as it is."""
    assert load({"config": config(text)}) == load()


def test_a_file_that_is_named_must_be_there(tmp_path):
    """A missing file is a mistake if --config or GORK_CONFIG names it; a folder and an unknown home are named too."""
    missing = str(tmp_path / "none.yaml")

    assert mistakes({"config": missing}) == [f"{missing}: cannot be read: No such file or directory"]
    assert mistakes(GORK_CONFIG=missing) == [f"{missing}: cannot be read: No such file or directory"]
    assert mistakes({"config": str(tmp_path)}) == [f"{tmp_path}: cannot be read: Is a directory"]
    assert mistakes({"config": "~no-such-user-here/x"})[0].startswith("--config: must be a path")
    assert mistakes({"config": ""}) == ["--config: must be a path, but is empty"]


def test_the_users_file_is_found_in_its_usual_place(tmp_path):
    """--config before GORK_CONFIG before $XDG_CONFIG_HOME/gork/config.yaml before ~/.config/gork/config.yaml."""
    places = {name: tmp_path / name / "gork" / "config.yaml" for name in ("flag", "variable", "xdg", "home/.config")}
    for seed, file in enumerate(places.values()):
        file.parent.mkdir(parents=True)
        file.write_text(f"seed: {seed}\n")
    environ = {"HOME": str(tmp_path / "home")}

    assert load(**environ).seed == 3
    assert load(**environ, XDG_CONFIG_HOME="relative/is/ignored").seed == 3
    environ["XDG_CONFIG_HOME"] = str(tmp_path / "xdg")
    assert load(**environ).seed == 2
    environ["GORK_CONFIG"] = str(places["variable"])
    assert load(**environ).seed == 1
    assert load({"config": str(places["flag"])}, **environ).seed == 0


def test_paths_in_the_users_file_are_taken_from_its_folder(tmp_path):
    """A settings file means the same from wherever the program is started."""
    (tmp_path / "mine.yaml").write_text("name: mine\ncandidates: [{name: a, model: m}]\n")
    (tmp_path / "token").write_text("abc\n")
    file = tmp_path / "config.yaml"
    file.write_text("ensemble: ./mine.yaml\ncache: weights\ntoken_file: token\n")

    settings = load({"config": str(file)})

    assert settings.ensemble.name == "mine"
    assert settings.ensemble_given
    assert settings.cache == tmp_path / "weights"
    assert settings.token is not None
    assert settings.token.reveal() == "abc"


def test_a_secret_is_never_shown(tmp_path):
    """Neither the record, nor the shown settings, nor a mistake has it; it may come from a file."""
    file = tmp_path / "token"
    file.write_text("s3cret-from-file\n")
    settings = load({"hub_token_file": str(file)}, GORK_TOKEN=" s3cret-from-variable ")

    assert settings.token is not None
    assert settings.token.reveal() == "s3cret-from-variable"
    assert settings.hub_token is not None
    assert settings.hub_token.reveal() == "s3cret-from-file"
    assert str(settings.origins["hub_token"]) == f"--hub-token-file, {file}"
    assert "s3cret" not in repr(settings) + str(settings.token) + show_config(settings)
    assert "# token: ***" in show_config(settings)
    assert load(GORK_TOKEN_FILE=str(file)).token == settings.hub_token


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "cannot be read: No such file or directory"),
        ("", "must be a token"),
        ("s3cret s3cret", "must be a token"),
        ("s3crét", "must be a token"),
    ],
)
def test_a_file_without_a_secret_in_it_is_a_mistake(tmp_path, content, expected):
    """A missing, empty or unfit file is named; what is in it is not."""
    file = tmp_path / "token"
    if content is not None:
        file.write_text(content, encoding="utf-8")

    (only,) = mistakes(GORK_TOKEN_FILE=str(file))

    assert only.startswith(f"GORK_TOKEN_FILE: {file} {expected}")
    assert "s3cr" not in only


def test_a_secret_given_twice_in_one_layer_is_a_mistake(tmp_path):
    """Which of the two would count is not to be guessed; a file in the environment stands above one in the user's file."""
    (tmp_path / "token").write_text("abc")
    file = tmp_path / "config.yaml"
    file.write_text("token: from-config\n")

    assert mistakes(GORK_TOKEN="x", GORK_TOKEN_FILE=str(tmp_path / "token")) == [
        "GORK_TOKEN_FILE: token is given too; one of them is enough"
    ]
    settings = load({"config": str(file)}, GORK_TOKEN_FILE=str(tmp_path / "token"))
    assert settings.token is not None
    assert settings.token.reveal() == "abc"


def test_ollamas_own_variable_says_where_the_local_ollama_is():
    """OLLAMA_HOST counts, ours stands above it, and a bind address means this machine."""
    assert load(OLLAMA_HOST="0.0.0.0:1234").ollama_host == "http://127.0.0.1:1234"
    assert load(OLLAMA_HOST="0.0.0.0:1234").ollama_host_given
    assert load(OLLAMA_HOST="a", GORK_OLLAMA_HOST="b").ollama_host == "http://b:11434"
    assert str(load(OLLAMA_HOST="a", GORK_OLLAMA_HOST="b").origins["ollama_host"]) == "GORK_OLLAMA_HOST"
    assert mistakes(OLLAMA_HOST="http://me:secret@host") == ['OLLAMA_HOST: "http://***@host" credentials in a URL are not supported']


@pytest.mark.parametrize("name", shipped_ensembles())
def test_shown_settings_are_a_settings_file_that_means_the_same(config, name):
    """What --show-config prints can be kept as a file: it sets every value to what it was."""
    environ = {"GORK_SEED": "7", "GORK_TIMEOUT": "12.345678", "GORK_CACHE": '/a b/"c"\\ñ\u2028#: x', "OLLAMA_HOST": "[::]:1"}
    settings = load({"ensemble": name, "optimize": False}, GORK_JUDGE_URL="http://judge:11434", **environ)
    shown = show_config(settings)

    again = load({"config": config(shown)})

    assert again.ensemble == settings.ensemble
    for field in Settings.__struct_fields__:
        if field not in {"ensemble", "members", "origins", *OF_ENSEMBLE, *OF_CHOOSING}:
            assert getattr(again, field) == getattr(settings, field), field
    assert show_config(again).splitlines()[0] == shown.splitlines()[0].replace("--ensemble", "config.yaml:1")


def test_shown_settings_have_every_value_with_its_origin_in_line():
    """Each setting and each member's url and model has a line, its origin in one column; two runs print the same."""
    settings = load(GORK_SEED="7", GORK_QWEN_URL="http://qwen:1")
    lines = show_config(settings).splitlines()

    assert show_config(settings) == "\n".join(lines)
    assert [line.split(":")[0].strip("# ") for line in lines[: len(SETTINGS)]] == list(SETTINGS)
    assert len({line.index("  # ") for line in lines if "  # " in line and not line.strip().startswith("#")}) == 1
    assert any(line.startswith("seed: 7 ") and line.endswith("  # GORK_SEED") for line in lines)
    assert any(line.startswith("    url: http://qwen:1 ") and line.endswith("  # GORK_QWEN_URL") for line in lines)
    assert any(line.startswith("    model: qwen2.5-coder:1.5b ") and line.endswith("  # ensemble heavy-lite") for line in lines)
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize(
    "host",
    [
        "http://",
        "ftp://a",
        "http://me:secret@a",
        "me:secret@a",
        "secret@a",
        "http://a?secret",
        "http://a#secret",
        "a:0",
        "a:65536",
        "a:-1",
        "a:secret",
        "[::1",
        "[secret]",
        "::1::2",
        "a b",
        "a\x00b",
        "a\tb",
        "http://http://a",
        "a\\b",
        "<secret>",
        "a" * 300,
        "/" + "a" * 5000,
        "http://a/\ud800",
    ],
)
def test_what_is_no_host_is_refused(host):
    """Each is a mistake in one printable line; what may be a user, a password or a query is not in it."""
    with pytest.raises(ConfigError) as caught:
        parse_host(host)

    (only,) = caught.value.mistakes
    assert only.isprintable()
    if "@" in host or "?" in host or "#" in host:
        assert "secret" not in only


@hypothesis_settings(max_examples=500, deadline=None)
@given(st.text(max_size=60) | st.text(alphabet="ab1:/@[]?#.%-_ \"'0", max_size=40) | st.from_regex(r"https?://.{0,30}"))
@example("http://[::ffff:1.2.3.4%25eth0]")
@example("http://ｅxample.com")
@example("[v1.a]")
def test_a_host_is_a_url_or_a_mistake(text):
    """Whatever is given, the outcome is a base URL that means itself, or a `ConfigError`."""
    try:
        host = parse_host(text)
    except ConfigError:
        return
    assert host.startswith(("http://", "https://"))
    assert not host.endswith("/")
    assert host.isprintable()
    assert "@" not in host.partition("://")[2].partition("/")[0]
    assert parse_host(host) == host


@hypothesis_settings(max_examples=200, deadline=None)
@given(st.sampled_from(list(SETTINGS.values())), st.text(max_size=40))
def test_no_text_makes_a_kind_fail_otherwise_than_with_what_is_wrong(setting, text):
    """Any text of a variable or flag is a value of its kind or `Wrong`, in one printable line."""
    try:
        parse_value(setting.kind, text)
    except Wrong as wrong:
        message = str(wrong)
    else:
        message = "fine"
    assert message.isprintable()


@hypothesis_settings(max_examples=100, deadline=None)
@given(st.sampled_from(list(SETTINGS.values())), st.text(max_size=40), st.sampled_from(list(SETTINGS.values())), st.text(max_size=40))
def test_no_environment_makes_loading_fail_otherwise(one, text, other, more):
    """Settings with any text in their variables load, or are named as mistakes, and what is shown of them is UTF-8."""
    try:
        shown = show_config(load(**{one.variable: text, other.variable: more}))
    except ConfigError as error:
        shown = "".join(error.mistakes)
    assert "\x1b" not in shown
    assert shown.encode("utf-8").decode("utf-8") == shown


def test_models_that_are_named_are_the_ensemble(config):
    """Candidates in their order, the judge and the promptimizer with the instructions of the shipped ones; the user's members count too."""
    given = {"models": "qwen3:0.6b,Qwen/Qwen2.5-0.5B-Instruct-GGUF:q.gguf", "judge": "gemma3:1b", "promptimizer": "granite4:350m"}
    settings = load(given, GORK_JUDGE_URL="http://other:11434")
    ensemble, shipped = settings.ensemble, load_ensemble("heavy-lite")
    assert ensemble.judge is not None
    assert ensemble.promptimizer is not None
    assert shipped.promptimizer is not None

    assert settings.ensemble_given
    assert [(member.name, member.model, member.api) for member in ensemble.candidates] == [
        ("qwen3-0-6b", "qwen3:0.6b", None),
        ("q", None, "embedded"),
    ]
    assert (ensemble.judge.model, ensemble.judge.url, ensemble.judge.weights) == ("gemma3:1b", "http://other:11434", None)
    assert (ensemble.promptimizer.model, ensemble.promptimizer.examples) == ("granite4:350m", shipped.promptimizer.examples)
    assert load({"config": config(show_config(settings))}).ensemble == ensemble


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"judge": "j"}, "judge: goes with models"),
        ({"models": "a", "ensemble": "tiny"}, "models: an ensemble is named too"),
        ({"models": "a,,b"}, "--models: must be one to eight models"),
        ({"models": ",".join("abcdefghi")}, "--models: must be one to eight models"),
        ({"models": "a b"}, "models: a model must be a model's name"),
    ],
)
def test_models_that_cannot_be_are_a_mistake(given, expected):
    """With what to do about it."""
    with pytest.raises(ConfigError, match=re.escape(expected)):
        load(given)
