"""Models by their name on a hub: a small server of the hub's protocol, and the command line in a process of its own."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from xray2xray.core.errors import InputError
from xray2xray.io.hub import hub_folder, is_hub_name
from xray2xray.io.model_folder import folder_of
from xray2xray.models.export import export_model
from xray2xray.models.world_model import WorldModel

COMMIT = "0123456789abcdef0123456789abcdef01234567"
SEEN = """
import sys
from xray2xray import InputError, WorldModel
for source, revision in zip(sys.argv[1::2], sys.argv[2::2]):
    try:
        print(sum(p.double().sum().item() for p in WorldModel.from_pretrained(source, revision=revision or None)
                  .transition.parameters()))
    except InputError as error:
        print("InputError:", error)
"""


class Hub(ThreadingHTTPServer):
    """The files of one repository, `lab/chest`, whose tag v1 is COMMIT; `asked` are the paths of all requests."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.asked = folder, list[str]()
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self.answer(with_body=False)

    def do_GET(self) -> None:
        self.answer(with_body=True)

    def answer(self, with_body: bool) -> None:
        path = self.path.split("?")[0]
        self.server.asked.append(path)
        status, headers, body = 404, {"X-Error-Code": "RepoNotFound"}, b"{}"
        if path.startswith("/api/models/lab/chest"):
            known = path.endswith(("/revision/main", "/revision/v1", COMMIT))
            answer = self.tree() if "/tree/" in path else {"id": "lab/chest", "sha": COMMIT}
            headers = {"Content-Type": "application/json"} if known else {"X-Error-Code": "RevisionNotFound"}
            status, body = (200, json.dumps(answer).encode()) if known else (404, b"{}")
        elif path.startswith(f"/lab/chest/resolve/{COMMIT}/"):
            body = (self.server.folder / path.rpartition("/")[2]).read_bytes()
            etag = hashlib.sha256(body).hexdigest()
            status, headers = 200, {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT}
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def tree(self) -> list[dict[str, object]]:
        files = sorted(self.server.folder.iterdir())
        return [{"type": "file", "path": one.name, "size": one.stat().st_size, "oid": "0" * 40} for one in files]

    def log_message(self, *_: object) -> None:
        """Nothing: the test says what was asked."""


@pytest.fixture
def exported(small_volumetric: WorldModel, tmp_path: Path) -> Path:
    small_volumetric.save_pretrained(tmp_path / "model")
    out = tmp_path / "exported"
    out.mkdir()
    export_model(small_volumetric, tmp_path / "model", out)
    return out


@pytest.fixture
def hub(exported: Path) -> Iterator[Hub]:
    pytest.importorskip("huggingface_hub", reason="needs the extra [hub]")
    server = Hub(exported)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def seen(hub: Hub, home: Path, *sources: str, offline: bool = False) -> list[str]:
    """What a new process makes of pairs of source and revision: a sum of weights, or an error."""
    settings = {"HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}", "HF_HOME": str(home)}
    settings |= {"HF_HUB_OFFLINE": str(int(offline)), "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", SEEN, *sources],
        env={**os.environ, **settings},
        cwd=home.parent,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_model_is_downloaded_once_and_found_offline(
    hub: Hub, small_volumetric: WorldModel, exported: Path, tmp_path: Path
) -> None:
    saved = WorldModel.from_pretrained(exported)
    expected = str(sum(parameter.double().sum().item() for parameter in saved.transition.parameters()))
    home = tmp_path / "home"
    online = seen(
        hub, home, "lab/chest", "v1", f"lab/chest@{COMMIT}", "", "lab/chest", "v9", "lab/nothing", "", "exported", ""
    )
    assert online[:2] == [expected, expected]
    assert "no revision v9" in online[2]
    assert "neither a folder here nor a model of the hub" in online[3]
    assert online[4] == expected  # a folder of the working directory
    assert len([path for path in hub.asked if path.endswith("volumetric.safetensors")]) <= 2  # HEAD and GET
    hub.asked.clear()
    offline = seen(hub, home, "lab/chest", "v1", "lab/chest", COMMIT, "lab/other", "", offline=True)
    assert offline[:2] == [expected, expected]
    assert "HF_HUB_OFFLINE" in offline[2]
    assert hub.asked == []


def test_what_arrives_altered_is_refused(hub: Hub, exported: Path, tmp_path: Path) -> None:
    (exported / "README.md").write_text("another card", encoding="utf-8")
    weights = exported / "vision.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    (first,) = seen(hub, tmp_path / "home", "lab/chest", "v1")
    assert "README.md does not have the sha256" in first


@pytest.mark.parametrize(
    ("source", "is_name"),
    [
        ("lab/chest", True),
        ("lab/chest@v1.0", True),
        ("lab/chest@refs/pr/1", True),
        ("tiny", False),
        ("./lab/chest", False),
        ("/lab/chest", False),
        ("../chest", False),
        ("~/chest", False),
        ("a/b/c", False),
        ("here/mistyped", False),  # `here` is a folder: what follows is a path, and no hub hears of it
        ("lab/chest@", False),
    ],
)
def test_what_is_a_name_on_a_hub(source: str, is_name: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path)
    assert is_hub_name(source) == is_name
    if not is_name and source != "tiny":
        with pytest.raises(InputError, match="neither a packaged model nor a folder"):
            folder_of(source)


def test_without_the_hubs_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(InputError, match="pip install huggingface_hub"):
        hub_folder("lab/elsewhere")


def test_a_name_that_is_none() -> None:
    with pytest.raises(InputError, match="org/name"):
        hub_folder("no name")
