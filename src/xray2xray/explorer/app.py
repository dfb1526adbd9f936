"""The explorer's addresses: the page, cases and their views and files. All work is done elsewhere."""

import asyncio
import json
import logging
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import get_args

import anyio
from markupsafe import Markup
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ..core.errors import InputError
from ..core.version import VERSION
from ..projection.geometry import Pose
from ..reporting.fragment import templates
from ..reporting.page import script, style
from ..session.session import Session
from ..session.study import View
from .cases import Cases
from .examples import EXAMPLES
from .finished import Finished, Grids
from .given import of_example, of_file, safe_name
from .guard import Guard, user_of
from .limits import Limits
from .worker import Full, Job, Worker

MOST_NAMES = 6  # of views in one answer
HOUSEKEEPING_S = 2.0
BUSY = "Too many cases are waiting; try again in a minute."

log = logging.getLogger(__name__)


class Explorer:
    """One session's model, and the cases of all who look at it."""

    def __init__(self, session: Session, limits: Limits | None = None) -> None:
        self.session, self.limits, self.grids = session, limits or Limits(), Grids()
        self.worker = Worker(self.limits.waiting, self.limits.work_s)
        self.cases = Cases(self.limits, self.worker, self.grids)
        self._uploads = tempfile.TemporaryDirectory(prefix="xray2xray-")  # readable by this user alone
        self.folder = Path(self._uploads.name)

    @asynccontextmanager
    async def life(self, app: Starlette) -> AsyncIterator[None]:
        """Housekeeping while the server runs; nothing is left afterwards."""
        task = asyncio.create_task(self._keep_house())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            self.worker.stop()
            self.cases.forget_all()
            self._uploads.cleanup()

    async def _keep_house(self) -> None:
        while True:
            await asyncio.sleep(HOUSEKEEPING_S)
            self.worker.check_time()
            self.cases.forget_idle()

    # ------------------------------------------------ the page

    async def page(self, request: Request) -> Response:
        return Response(_page(), media_type="text/html")

    async def css(self, request: Request) -> Response:
        return Response(style() + _static("explorer.css"), media_type="text/css")

    async def js(self, request: Request) -> Response:
        return Response(script() + _static("explorer.js"), media_type="text/javascript")

    async def icon(self, request: Request) -> Response:
        return Response(_static("icon.svg"), media_type="image/svg+xml")

    async def picture(self, request: Request) -> Response:
        example = EXAMPLES.get(request.path_params["name"])
        return Response(status_code=404) if example is None else Response(example.picture, media_type="image/png")

    # ------------------------------------------------ cases

    async def upload(self, request: Request) -> Response:
        """The body is the file itself."""
        asked = request.query_params
        view: View | None = next((one for one in get_args(View) if one == asked.get("view", "auto")), None)
        if view is None:
            raise HTTPException(400, "The view is auto, pa or ap.")
        path = self.folder / secrets.token_hex(16) / safe_name(asked.get("name", ""))
        path.parent.mkdir()
        clean = partial(shutil.rmtree, path.parent, ignore_errors=True)
        try:
            await self._received(request, path)
            return self._queued(
                request, Job(partial(of_file, self.session, path, view, asked.get("couch") == "1", self.limits), clean)
            )
        except BaseException:
            clean()
            raise

    async def example(self, request: Request) -> Response:
        example = EXAMPLES.get(request.path_params["name"])
        if example is None:
            raise HTTPException(404, "There is no such example.")
        return self._queued(request, Job(partial(of_example, self.session, example)))

    async def status(self, request: Request) -> Response:
        job = self._job(request)
        ahead = self.worker.ahead(job)
        return JSONResponse({"state": job.state, "stage": job.stage, "ahead": ahead, "message": job.message})

    async def result(self, request: Request) -> Response:
        done = self._done(request)
        live = {"names": done.names, "side": done.geometry.size} if done.names else None
        files = list(done.files)
        head = json.dumps({"html": done.html, "live": live, "files": files})
        # The data are JSON already.
        return Response(f'{head[:-1]},"data":{done.data}}}', media_type="application/json")

    async def views(self, request: Request) -> Response:
        """Grey values of the named views from one pose, one byte each (p x 25.5), one view after the other."""
        done, asked = self._done(request), request.query_params
        names = asked.get("names", "").split(",")
        if len(names) > MOST_NAMES or not set(names) <= set(done.names):
            raise HTTPException(404, "There is no such view.")
        try:
            pose = Pose(float(asked.get("yaw", "")), float(asked.get("pitch", "0")))
            if abs(pose.yaw_deg) > 360 or abs(pose.pitch_deg) > 60:
                raise ValueError
        except (ValueError, InputError):
            raise HTTPException(400, "Angles are numbers of degrees: yaw to 360, pitch to 60.") from None
        content = await run_in_threadpool(done.views, pose, names, self.grids)
        return Response(content, media_type="application/octet-stream")

    async def file(self, request: Request) -> Response:
        done, name = self._done(request), request.path_params["name"]
        if name not in done.files:
            raise HTTPException(404, "There is no such file.")
        media_type, make = done.files[name]
        head = {"content-disposition": f'attachment; filename="xray2xray-{name}"'}
        return Response(await run_in_threadpool(make), media_type=media_type, headers=head)

    async def remove(self, request: Request) -> Response:
        self.cases.remove(user_of(request), request.path_params["number"])
        return Response(status_code=204)

    # ------------------------------------------------ their parts

    def _job(self, request: Request) -> Job[Finished]:
        job = self.cases.of(user_of(request), request.path_params["number"])
        if job is None:
            raise HTTPException(404, "This case is no longer here; give the file again.")
        return job

    def _done(self, request: Request) -> Finished:
        done = self._job(request).result
        if done is None:
            raise HTTPException(409, "This case is not ready.")
        return done

    def _queued(self, request: Request, job: Job[Finished]) -> Response:
        try:
            return JSONResponse({"number": self.cases.add(user_of(request), job)}, 202)
        except Full:
            raise HTTPException(503, BUSY) from None

    async def _received(self, request: Request, path: Path) -> None:
        """Write the body to a file, while it is not too long."""
        most = self.limits.upload_bytes
        too_large = HTTPException(413, f"The file is too large: at most {most / 2**20:,.0f} MiB are taken.")
        length = request.headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > most:
            raise too_large
        try:
            self.worker.check()
            with anyio.fail_after(self.limits.upload_s), path.open("xb") as file:
                size = 0
                async for part in request.stream():
                    size += len(part)
                    if size > most:
                        raise too_large
                    file.write(part)
        except Full:
            raise HTTPException(503, BUSY) from None
        except TimeoutError:
            raise HTTPException(408, "The file took too long to arrive.") from None
        except OSError:
            raise HTTPException(507, "There is no room left for this file on the server.") from None
        if not size:
            raise HTTPException(400, "The file is empty.")


def app(explorer: Explorer, cookie: str = "xray2xray", token: str | None = None) -> Starlette:
    """The application; `token`: what users must bring who do not come by loopback."""
    routes = [
        Route("/", explorer.page),
        Route("/page.css", explorer.css),
        Route("/page.js", explorer.js),
        Route("/icon.svg", explorer.icon),
        Route("/examples/{name}.png", explorer.picture),
        Route("/api/examples/{name}", explorer.example, methods=["POST"]),
        Route("/api/cases", explorer.upload, methods=["POST"]),
        Route("/api/cases/{number}", explorer.status),
        Route("/api/cases/{number}", explorer.remove, methods=["DELETE"]),
        Route("/api/cases/{number}/result", explorer.result),
        Route("/api/cases/{number}/views", explorer.views),
        Route("/api/cases/{number}/files/{name}", explorer.file),
    ]
    return Starlette(
        routes=routes,
        middleware=[Middleware(Guard, cases=explorer.cases, cookie=cookie, token=token)],
        exception_handlers={HTTPException: _problem, Exception: _fault},
        lifespan=explorer.life,
    )


def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"message": error.detail}, error.status_code)


def _fault(request: Request, error: Exception) -> Response:
    log.warning("a request failed: %s", type(error).__name__)
    return JSONResponse({"message": "The server met a fault of its own; try again."}, 500)


def _static(name: str) -> str:
    return (files(__package__) / "static" / name).read_text(encoding="utf-8")


def _page() -> str:
    bar = templates().get_template("bar.html.j2").render(home="/")
    page = templates().from_string(_static("explorer.html.j2"))
    return page.render(bar=Markup(bar), examples=list(EXAMPLES.values()), version=VERSION)
