"""Who may ask what: other hosts, other sites, strangers and other users are refused."""

from collections.abc import Callable

import pytest
from starlette.testclient import TestClient

from xray2xray.explorer.app import Explorer, app

from .conftest import FROM_PAGE, HERE, User


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:8642", "localhost.evil.example", ""])
def test_a_name_that_was_made_to_point_here_is_refused(explorer: Explorer, host: str) -> None:
    answer = TestClient(app(explorer), base_url=HERE).get("/", headers={"Host": host})
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("host", ["localhost:9", "127.0.0.1", "[::1]:8642"])
def test_names_of_loopback_are_answered(explorer: Explorer, host: str) -> None:
    assert TestClient(app(explorer), base_url=HERE).get("/", headers={"Host": host}).status_code == 200


def test_other_sites_can_change_nothing(visit: Callable[[], User], film: bytes) -> None:
    user = visit()
    where = "/api/cases?name=x.png"
    assert user.post(where, content=film).status_code == 403  # a form of another site cannot send the header
    elsewhere = {**FROM_PAGE, "Origin": "http://evil.example"}
    assert user.post(where, content=film, headers=elsewhere).status_code == 403
    assert user.get("/", headers={"Origin": "http://evil.example"}).status_code == 403
    assert user.post("/api/examples/none", headers={**FROM_PAGE, "Origin": HERE}).status_code == 404


def test_a_stranger_is_given_a_cookie_by_the_page_alone(explorer: Explorer) -> None:
    stranger = TestClient(app(explorer), base_url=HERE)
    assert stranger.get("/api/cases/x").status_code == 403
    answer = stranger.get("/")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"
    assert "set-cookie" not in stranger.get("/").headers  # who is known keeps the cookie
    assert stranger.get("/api/cases/x").status_code == 404


def test_elsewhere_than_on_loopback_a_token_is_needed(explorer: Explorer) -> None:
    user = TestClient(app(explorer, token="right"), base_url="http://192.0.2.1:8642")
    for address in ("/", "/?token=", "/?token=wrong", "/?token=r%C3%AFght"):
        answer = user.get(address)
        assert answer.status_code == 403
        assert "token" in answer.json()["message"]
    answer = user.get("/?token=right", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert user.get("/").status_code == 200
    assert "set-cookie" in answer.headers


def test_the_page_asks_for_nothing_elsewhere(visit: Callable[[], User]) -> None:
    user = visit()
    for address in ("/", "/page.css", "/page.js", "/icon.svg"):
        text = user.get(address).text.replace("http://www.w3.org/2000/svg", "")
        assert "://" not in text.replace('partition("://")', ""), address
    assert "Research use only" in user.get("/").text
