"""No reader of the package runs what stands in a file: the source is walked for calls that could."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "xray2xray"
FORBIDDEN = {
    "eval", "exec", "compile", "__import__", "os.system", "os.popen", "pickle.load", "pickle.loads", "pickle.Unpickler",
    "joblib.load", "marshal.load", "marshal.loads", "shelve.open", "yaml.load", "yaml.full_load", "yaml.unsafe_load",
    "yaml.load_all", "shutil.unpack_archive", "tarfile.open", "pandas.read_pickle",
}  # fmt: skip
METHODS = {"extract", "extractall", "unpack_archive"}  # of an archive, whatever it is called
ONLY_IN = {  # calls that only the one safe place may make
    "zipfile.ZipFile": "io/archive.py",
    "yaml.safe_load": "io/text.py",
    "pydicom.dcmread": "io/dicom.py",
    "pixel_array_": "io/dicom.py",
}


def faults(source: str, file: str) -> Iterator[str]:
    """What `source`, which stands at `file` below the package, calls and must not."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr == "pixel_array":  # the function of io.dicom is a name
            yield f"{file}:{node.lineno} .pixel_array"
        if not isinstance(node, ast.Call):
            continue
        name, where = ast.unparse(node.func), f"{file}:{node.lineno}"
        keywords = {word.arg: ast.unparse(word.value) for word in node.keywords}
        if name in FORBIDDEN or (isinstance(node.func, ast.Attribute) and node.func.attr in METHODS):
            yield f"{where} {name}"
        if name in ("np.load", "numpy.load") and keywords.get("allow_pickle", "False") != "False":
            yield f"{where} {name} with pickle"
        if name == "torch.load" and keywords.get("weights_only") != "True":
            yield f"{where} {name} without weights_only=True"
        if keywords.get("shell") == "True":
            yield f"{where} a shell"
        place = ONLY_IN.get(name)
        if place not in (None, file) and not (name == "yaml.safe_load" and file.startswith("experiments/")):
            yield f"{where} {name} outside of {place}"


def test_no_loader_can_run_code() -> None:
    files = {path.relative_to(PACKAGE).as_posix(): path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")}
    assert len(files) > 100
    assert [fault for file, source in files.items() for fault in faults(source, file)] == []


@pytest.mark.parametrize(
    "source",
    [
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
        "pickle.load(file)",
        "yaml.load(text, Loader=yaml.Loader)",
        "eval(text)",
        "archive.extractall(folder)",
        "zipfile.ZipFile(path)",
        "pydicom.dcmread(path)",
        "image.pixel_array",
        "subprocess.run(words, shell=True)",
    ],
)
def test_the_walk_sees(source: str) -> None:
    assert list(faults(source, "volume/read.py"))


def test_the_walk_lets_safe_calls_pass() -> None:
    safe = "torch.load(p, weights_only=True)\nnp.load(p)\nmodel.eval()\nnp.load(p, allow_pickle=False)\nre.compile('a')"
    assert not list(faults(safe, "volume/read.py"))
