"""The command line: what it understands, what it refuses, and with which exit code and how many words."""

import argparse
import ast
import inspect
import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import xray2xray
from xray2xray.commands import cli, registry
from xray2xray.commands.options import field_help, summary
from xray2xray.commands.registry import verbs
from xray2xray.core.errors import InputError, UsageError
from xray2xray.data.inputs import study_name, study_names

VERBS = verbs()


def run(*words: str | Path) -> int:
    return cli.main([str(word) for word in words])


def one_error_line(capsys: pytest.CaptureFixture[str]) -> str:
    lines = [line for line in capsys.readouterr().err.splitlines() if line.strip()]
    assert len(lines) == 1, lines
    assert lines[0].startswith("xray2xray: error: ")
    return lines[0]


def python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


# ---------------------------------------------------------------- what it says


def test_help_and_import_load_no_heavy_package() -> None:
    code = (
        "import sys, xray2xray, xray2xray.commands.cli as cli\n"
        "for words in ([], ['--help'], ['--version'], ['evaluate', '--help']):\n"
        "    cli.main(words)\n"
        "for verb in cli.verbs():\n"
        "    try: cli.main([*verb.split(), '--help'])\n"
        "    except SystemExit as stop: assert stop.code == 0\n"
        "print('HEAVY', [name for name in ('torch', 'numba', 'scipy', 'matplotlib', 'nibabel') if name in sys.modules])"
    )
    assert python(code).splitlines()[-1] == "HEAVY []"


def test_overview_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help") == 0
    said = capsys.readouterr().out
    assert all(f"  {verb} " in said for verb in VERBS)
    assert "not a medical device" in said
    assert run() == 2, "no verb is wrong usage"


def test_module_is_the_command() -> None:
    said = subprocess.run([sys.executable, "-m", "xray2xray", "--version"], capture_output=True, text=True, check=True)
    assert said.stdout == f"xray2xray {xray2xray.__version__}\n"


@pytest.mark.parametrize("verb", list(VERBS))
def test_every_option_is_a_keyword_of_the_function_and_explained(verb: str) -> None:
    function = VERBS[verb]
    options = {action.dest for action in cli._parser(verb, function)._actions}
    keywords = inspect.signature(function).parameters
    assert options - set(cli.GLOBAL) == set(keywords)
    assert set(keywords) == set(field_help(function)), "every field is explained"
    assert summary(function).endswith("."), "the first line of the docstring is the help of the verb"


def test_public_names_exist() -> None:
    assert all(getattr(xray2xray, name) is not None for name in xray2xray.__all__)
    assert {verb.replace(" ", "_") for verb in VERBS} <= set(xray2xray.__all__) <= set(dir(xray2xray))
    with pytest.raises(AttributeError, match="no attribute 'rotat'"):
        _ = xray2xray.rotat


def test_type_checkers_know_every_verb_of_the_package() -> None:
    tree = ast.parse(Path(xray2xray.__file__).read_text())
    imported = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    known = {(f"xray2xray.{node.module}", alias.asname) for node in imported for alias in node.names}
    own = {
        (verb.__module__, verb.__name__) for verb in VERBS.values() if verb.__module__.startswith(registry.GROUP)
    } - {("xray2xray.commands.api", "evaluate_downstream")}  # on its way to the experiments' plug-in
    assert own <= known


def test_a_verb_is_called_by_position_or_keyword(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--count is 0"):
        xray2xray.phantom(tmp_path / "out", 0)
    with pytest.raises(TypeError, match="colour"):
        xray2xray.phantom(tmp_path / "out", colour="red")
    assert str(inspect.signature(xray2xray.info)) == "(json: bool = False) -> xray2xray.commands.info.InfoResult"


PLUG_IN = """
from dataclasses import dataclass
from xray2xray.commands.registry import as_function

@dataclass(frozen=True)
class Options:
    '''Fail.

    Attributes:
        out: what goes wrong.
    '''

    out: str

def run(options: Options) -> None:
    raise {"broken": ZeroDivisionError("division by zero"), "interrupted": KeyboardInterrupt}[options.out]

evaluate_failure = as_function(Options, run)
"""


@pytest.fixture
def plug_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another distribution, which brings the verb `evaluate failure`."""
    _distribution(tmp_path, "toy_verbs")
    (tmp_path / "toy_verbs").mkdir()
    (tmp_path / "toy_verbs" / "__init__.py").touch()
    (tmp_path / "toy_verbs" / "evaluate_failure.py").write_text(PLUG_IN)
    monkeypatch.syspath_prepend(tmp_path)


def _distribution(folder: Path, package: str) -> None:
    """What an installed distribution leaves in site-packages to name a package of verbs."""
    (folder / f"{package}-1.dist-info").mkdir()
    (folder / f"{package}-1.dist-info" / "entry_points.txt").write_text(
        f"[xray2xray.commands]\n{package} = {package}\n"
    )


@pytest.mark.usefixtures("plug_in")
def test_a_plug_in_brings_verbs(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    _distribution(tmp_path, "not_there")
    assert run("evaluate", "--help") == 0
    said = capsys.readouterr()
    assert "evaluate failure " in said.out
    assert "xray2xray: the verbs of not_there are missing" in said.err, "and it does not stop the others"


def test_info_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("info", "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["xray2xray"] == xray2xray.__version__
    assert facts["machine"]["precision"] in ("32-true", "bf16-mixed")
    assert all(model["ok"] for model in facts["weights"].values()), "a packaged file is damaged"
    assert run("info") == 0
    assert capsys.readouterr().out.startswith("xray2xray ")


# ---------------------------------------------------------------- wrong usage: 2, one line


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["fantom"], "did you mean phantom?"),
        (["evaluate"], "evaluate what? One of: baselines, controls"),
        (["phantom"], "--out is required"),
        (["phantom", "--out", "x", "--count", "many"], "--count many: expected int"),
        (["phantom", "--out", "x", "--count", "0"], "--count is 0; it must be at least 1"),
        (["phantom", "--out", "x", "--colour", "red"], "unrecognized arguments: --colour red"),
        (["rotate", "--out", "x"], "no input file given"),
        (["rotate", "a.png", "--out", "x", "--form", "magic"], "--form magic: expected auto, volumetric, direct, auto"),
        (["rotate", "a.png", "--out", "x", "--yaw-deg", "far"], "--yaw-deg far: expected float or all"),
        (["render", "--out", "x"], "name chest CTs or ask for --procedural"),
        (["phantom", "--config", "missing.yaml", "--out", "x"], "--config missing.yaml: cannot be read as YAML"),
        (["phantom", "--config", "."], "--config .: cannot be read as YAML (Is a directory)"),
        (["phantom", "--out", "x", "--workers", "0"], "--workers is 0; it must be at least 1"),
        (["train", "--views", ".", "--out", "x", "--steps", "0"], "--steps is 0; it must be at least 1"),
        (["train", "--views", ".", "--out", "x", "--limit", "-1"], "--limit is -1; it must be at least 1"),
        (["cohort"], "no FOLDER given, --kind is required"),
    ],
)
def test_wrong_usage(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(*words) == 2
    assert said in one_error_line(capsys)
    assert list(tmp_path.iterdir()) == [], "a refused command leaves nothing behind"


@pytest.mark.parametrize(
    "words",
    [
        ["demo"],
        ["phantom"],
        ["rotate", "INPUT"],
        ["reconstruct", "INPUT"],
        ["render", "INPUT"],
        ["evaluate", "views", "--procedural", "1"],
        ["train", "--views", "INPUT"],
    ],
    ids=lambda words: " ".join(words),
)
def test_a_folder_that_is_not_empty_is_refused(
    words: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    given, out = tmp_path / "given.png", tmp_path / "out"
    given.write_bytes(b"not looked at")
    out.mkdir()
    (out / "thesis.tex").write_text("years of work")
    words = [str(given) if word == "INPUT" else word for word in words]
    assert run(*words, "--out", out) == 2
    assert "is not empty; choose another --out or pass --overwrite" in one_error_line(capsys)
    assert run(*words, "--out", out, "--overwrite") == 2
    assert "was not written by xray2xray" in one_error_line(capsys)
    assert (out / "thesis.tex").read_text() == "years of work"


def test_an_input_inside_the_output_folder_is_not_deleted(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("{}\n")
    (tmp_path / "chest.png").write_bytes(b"precious")
    assert run("rotate", tmp_path / "chest.png", "--out", tmp_path, "--overwrite") == 2
    assert "inside the output folder" in one_error_line(capsys)
    assert (tmp_path / "chest.png").exists()


def test_an_existing_file_is_not_replaced_unasked(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = tmp_path / "features.npz"
    out.write_bytes(b"old")
    assert run("embed", tmp_path, "--out", out) == 2
    assert "exists; choose another --out" in one_error_line(capsys)
    assert run("embed", tmp_path, "--out", tmp_path / "features.xlsx") == 2
    assert "must end in .npz or .csv" in one_error_line(capsys)
    assert out.read_bytes() == b"old"


# ---------------------------------------------------------------- failures nobody foresaw


def test_what_xray2xray_did_not_write_is_not_replaced(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    own = tmp_path / "own.csv"
    own.write_text("path,patient\nnone.png,1\n")
    assert run("embed", tmp_path, "--out", own, "--overwrite") == 2
    assert "was not written by xray2xray" in one_error_line(capsys)
    assert run("cohort", own, "--kind", "csv", "--out", own, "--overwrite") == 2
    assert "is the input itself" in one_error_line(capsys)
    assert run("cohort", own, "--kind", "csv", "--out", own / "x.csv") == 2
    assert "own.csv is a file, not a folder" in one_error_line(capsys)
    assert own.read_text() == "path,patient\nnone.png,1\n"


def test_a_config_that_is_none_is_named_and_not_shown(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    config = tmp_path / "own.csv"
    config.write_text("path,patient\nsecret.png,1\n")
    assert run("phantom", "--config", config, "--out", tmp_path / "out") == 2
    said = one_error_line(capsys)
    assert "own.csv: cannot be read as YAML (no settings by name in it)" in said
    assert "secret" not in said
    config.write_text("out: [")
    assert run("phantom", f"--config={config}") == 2
    assert "own.csv: cannot be read as YAML" in one_error_line(capsys)


@pytest.mark.usefixtures("plug_in")
def test_unexpected_errors_are_one_line_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XRAY2XRAY_DEBUG", raising=False)
    assert run("evaluate", "failure", "--out", "broken") == 1
    assert "ZeroDivisionError: division by zero" in one_error_line(capsys)
    assert run("evaluate", "failure", "--out", "interrupted") == 130
    monkeypatch.setenv("XRAY2XRAY_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        run("evaluate", "failure", "--out", "broken")


# ---------------------------------------------------------------- options, from the shell and from a file


def _parsed(verb: str, *words: str) -> dict[str, object]:
    return cli._parse(verb, VERBS[verb], list(words))[0]


def test_lists_and_dashes() -> None:
    options = _parsed("rotate", "a.png", "b.png", "--out", "o", "--yaw-deg", "-90", "5.5")
    assert options["inputs"] == ["a.png", "b.png"]
    assert options["yaw_deg"] == [-90.0, 5.5]
    assert _parsed("rotate", "a.png", "--out=o", "--yaw_deg=10")["yaw_deg"] == [10.0]
    assert _parsed("phantom", "--out", "under_score")["out"] == "under_score", "values keep their underscores"


def test_command_line_overrides_config_overrides_default(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump({"inputs": ["a.png"], "out": "old", "seed": 5, "truth": True}))
    config_render = tmp_path / "render.yaml"
    config_render.write_text(yaml.safe_dump({"inputs": ["a.nii"], "out": "old", "procedural": 3}))
    options = _parsed("render", "--seed", "4", "--config", str(config_render), "b.nii", "--out", "new")
    assert (options["inputs"], options["out"], options["procedural"]) == (["b.nii"], "new", 3)
    assert _parsed("render", "--config", str(config_render))["inputs"] == ["a.nii"]
    with pytest.raises(Exception, match="inputs"):
        _parsed("phantom", "--config", str(config))


def test_quiet_and_verbose_set_the_level() -> None:
    verb = VERBS["info"]
    levels = [cli._parse("info", verb, words)[1] for words in ([], ["--quiet"], ["--verbose"])]
    assert levels == [logging.INFO, logging.WARNING, logging.DEBUG]
    with pytest.raises(argparse.ArgumentError, match="not allowed with"):
        cli._parse("info", verb, ["--quiet", "--verbose"])


# ---------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a/LIDC-IDRI-0001_2mm.nii.gz", "LIDC-IDRI-0001_2mm"),
        ("x/Müller, Anna (1).PNG", "M-ller-Anna-1"),
        ("series.zip", "series"),
        ("folder/", "folder"),
        ("1.2.840.10008", "1.2.840.10008"),
        ("...", "study"),
    ],
)
def test_study_name_is_a_safe_file_name(path: str, name: str) -> None:
    assert study_name(path) == name


def test_inputs_called_alike_are_told_apart() -> None:
    assert list(study_names(["a/x.png", "b/x.png", "c/x.jpg", "y.png"])) == ["x", "x-2", "x-3", "y"]


def test_errors_from_python_are_the_same_as_from_the_shell(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        xray2xray.rotate("missing.png", tmp_path / "out")
    with pytest.raises(UsageError, match="choose one"):
        xray2xray.train(tmp_path, tmp_path / "out", resume=True, overwrite=True)
