"""What every request has to pass, and what every answer carries."""

import secrets

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .cases import Cases

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
OPEN = ("/page.css", "/page.js", "/icon.svg")  # the same for everyone
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "cache-control": "no-store",
}


def is_loopback(host: str) -> bool:
    """Whether only programs of this machine reach a server there."""
    return host in LOOPBACK


class Guard:
    """Refuses requests from other sites and of strangers; gives a new user a cookie.

    - On loopback the Host header must name loopback: a web site whose name was made to point here (DNS rebinding) is
      refused. Elsewhere a user must bring `token` once, as `/?token=...`.
    - A request that changes something must come from the page itself: by its Origin, and by a header that no other
      site may send.
    """

    def __init__(self, app: ASGIApp, cases: Cases, cookie: str, token: str | None) -> None:
        self._app, self._cases, self._cookie, self._token = app, cases, cookie, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)

        cookie: list[tuple[bytes, bytes]] = []
        answer = self._refusal(request) or self._entry(request, cookie)

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name.lower() for name, _ in message["headers"]}
                more = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                more = [pair for pair in more if pair[0] not in given]
                message["headers"] = [*message["headers"], *more, *cookie]
            await send(message)

        await (answer or self._app)(scope, receive, guarded)

    def _refusal(self, request: Request) -> ASGIApp | None:
        """What is answered to requests that come from elsewhere."""
        host = _name_of(request.headers.get("host", ""))
        if self._token is None and host not in LOOPBACK:
            return _refused("This server answers to 127.0.0.1 and localhost only.")
        origin = request.headers.get("origin")
        if origin is not None and origin.partition("://")[2] != request.headers.get("host"):
            return _refused("Requests from other sites are refused.")
        if request.method not in ("GET", "HEAD") and request.headers.get("x-xray2xray") != "page":
            return _refused("Requests that change something must come from the page.")
        return None

    def _entry(self, request: Request, cookie: list[tuple[bytes, bytes]]) -> ASGIApp | None:
        """Who asks is noted for the application; a new user gets a cookie, or is refused."""
        user, path = request.cookies.get(self._cookie, ""), request.url.path
        if path in OPEN:
            return None
        if not self._cases.knows(user):
            if path != "/":
                return _refused("This session has ended, and its cases were removed; load the page anew.")
            given = request.query_params.get("token", "")
            if self._token is not None and not secrets.compare_digest(given.encode(), self._token.encode()):
                return _refused("Open the address with the token that the server printed when it was started.")
            user = self._cases.new_user()
            cookie.append((b"set-cookie", f"{self._cookie}={user}; HttpOnly; SameSite=Strict; Path=/".encode()))
        request.scope["user"] = user
        # The token shall not stay in the address, where it is seen.
        return RedirectResponse("/", 303) if path == "/" and "token" in request.query_params else None


def user_of(request: Request) -> str:
    """Whose request it is; `Guard` has let it pass."""
    return str(request.scope["user"])


def _name_of(host: str) -> str:
    """A Host header without its port."""
    return host.rpartition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]


def _refused(message: str) -> JSONResponse:
    return JSONResponse({"message": message}, 403)
