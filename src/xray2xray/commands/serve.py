import logging
import secrets
import socket
import webbrowser
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import UsageError
from .options import Form, at_least, one_of
from .registry import as_function

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """Open the explorer: a page in the browser that turns a chest from one radiograph or CT.

    Drop a file into the page, drag to turn the chest, switch among possible chests, look at the volume, download what
    was made. It runs on this machine and asks nothing of any other; files are removed once they are read, cases when
    their user was not heard of for a quarter of an hour, and everything when the command ends (Ctrl-C). Needs
    `pip install 'xray2xray[web]'`.

    Attributes:
        host: where the port is opened; at any other address than loopback users need the token that is printed, and the
            connection is not encrypted.
        port: of the page; 0 takes a free one.
        source: the model: tiny, or a folder that `train` made.
        form: the form of M that predicts: volumetric, direct, autoregressive, or auto, the first that the model has.
        adapter: bring radiographs into the simulated domain with it: cyclegan, or a folder.
        pixels: along each side of a view: the model's, or a multiple (of the volumetric form); slower.
        device: auto, cpu or cuda.
        open: show the page in this machine's browser.
    """

    host: str = "127.0.0.1"
    port: int = 8642
    source: str | Path = "tiny"
    form: Form = "auto"
    adapter: str | Path | None = None
    pixels: int | None = None
    device: str = "auto"
    open: bool = False


def run(options: Options) -> None:
    try:
        import uvicorn

        from ..explorer.app import Explorer, app
    except ImportError:
        raise UsageError("the explorer needs more packages: pip install 'xray2xray[web]'") from None
    from ..explorer.guard import is_loopback
    from ..models.transitions.registry import forms
    from ..session.session import Session

    one_of(("auto", *forms()), form=options.form)
    at_least(0, port=options.port)
    at_least(1, pixels=options.pixels)
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    try:
        listening = socket.create_server((options.host, options.port), family=family)
    except (OSError, OverflowError) as error:
        raise UsageError(f"{options.host}, port {options.port}: {error}; choose another --host or --port") from None
    with listening:
        port = listening.getsockname()[1]
        session = Session.open(options.source, options.form, options.device, options.adapter, options.pixels)
        token = None if is_loopback(options.host) else secrets.token_urlsafe(32)
        address = f"http://{f'[{options.host}]' if ':' in options.host else options.host}:{port}/"
        if token is not None:
            address += f"?token={token}"
            log.warning("this page can be reached from elsewhere by who has the token, and is not encrypted")
        print(f"{address}   (Ctrl-C ends the explorer and removes all cases)", flush=True)
        if options.open:
            webbrowser.open(address)
        asgi = app(Explorer(session), f"xray2xray-{port}", token)
        uvicorn.Server(uvicorn.Config(asgi, access_log=False, log_level="critical", server_header=False)).run(
            [listening]
        )


serve = as_function(Options, run)
