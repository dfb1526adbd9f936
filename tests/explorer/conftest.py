"""An explorer with the packaged model, and users who look at it without a browser."""

import time
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("starlette", reason="the explorer needs the extra [web]")
pytest.importorskip("httpx", reason="starlette's test client needs httpx")

from starlette.testclient import TestClient

from benchmarks.fuzz.formats import frontal
from xray2xray.explorer.app import Explorer, app
from xray2xray.explorer.limits import Limits
from xray2xray.session.session import Session

HERE = "http://127.0.0.1:8642"
FROM_PAGE = {"X-Xray2Xray": "page"}


class User(TestClient):
    """A browser that has loaded the page."""

    def give(self, content: bytes, name: str = "x.png", **query: str) -> Any:
        """The answer to a file."""
        return self.post("/api/cases", params={"name": name, **query}, content=content, headers=FROM_PAGE)

    def waited(self, content: bytes, name: str = "x.png", **query: str) -> tuple[str, dict[str, Any]]:
        """The number of a file's case, and its state when it is over."""
        answer = self.give(content, name, **query)
        assert answer.status_code == 202, answer.text
        number = answer.json()["number"]
        while True:
            told = self.get(f"/api/cases/{number}").json()
            if told["state"] in ("done", "failed"):
                return number, told
            time.sleep(0.05)


@pytest.fixture(scope="session")
def model() -> Session:
    return Session.open("tiny", device="cpu")


@pytest.fixture(scope="session")
def explorer(model: Session) -> Iterator[Explorer]:
    """With limits small enough to be reached."""
    found = Explorer(model, Limits(upload_bytes=2**22, pixels=2**20, voxels=2**21, waiting=2, work_s=600))
    with TestClient(app(found), base_url=HERE):  # its life: housekeeping, and what is done at the end
        yield found
    assert not found.folder.exists()


@pytest.fixture(scope="session")
def visit(explorer: Explorer) -> Callable[[], User]:
    """A new user, who has loaded the page."""

    def come() -> User:
        user = User(app(explorer), base_url=HERE)
        assert user.get("/").status_code == 200
        return user

    return come


@pytest.fixture(scope="session")
def film() -> bytes:
    """A frontal as PNG."""
    buffer = BytesIO()
    Image.fromarray((255 * frontal()).astype(np.uint8)).save(buffer, format="PNG")
    return buffer.getvalue()
