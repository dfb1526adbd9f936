"""Every experiment has a command whose help can be read; `python -m xray2xray.experiments` lists them all."""

import tomllib
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

import xray2xray
from xray2xray.commands.registry import verbs
from xray2xray.core.errors import InputError
from xray2xray.experiments.__main__ import commands
from xray2xray.experiments.command import command, parser

PACKAGE = "xray2xray.experiments"


def test_every_experiment_has_a_command() -> None:
    experiments = {"adaptation", "ceiling", "downstream", "pairs", "pretraining", "radiographs", "realism", "variants"}
    assert experiments | {"warps"} <= {name.split(".")[0] for name in commands()}
    assert all(commands().values())


@pytest.mark.parametrize("name", commands())
def test_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = find_spec(f"{PACKAGE}.{name}")
    assert found is not None
    module = f"{PACKAGE}.{name}.__main__" if found.submodule_search_locations else f"{PACKAGE}.{name}"
    with pytest.raises(SystemExit) as ended:
        import_module(module).main(["--help"])
    assert ended.value.code == 0
    assert "--out" in capsys.readouterr().out


def test_a_wrong_input_ends_with_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def run(options: object) -> None:
        raise InputError("scan.nii.gz: not a CT")

    with pytest.raises(SystemExit) as ended:
        command(parser("ceiling", __doc__), run, [])
    assert ended.value.code == 1
    assert capsys.readouterr().err == "error: scan.nii.gz: not a CT\n"


def test_the_verb_of_the_experiments_is_a_plug_in() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    (package,) = project["entry-points"]["xray2xray.commands"].values()
    assert find_spec(f"{package}.evaluate_downstream") is not None
    assert verbs()["evaluate downstream"].__name__ == "evaluate_downstream"
    assert xray2xray.evaluate_downstream is not None
