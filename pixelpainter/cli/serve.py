"""`pixelpainter serve`: the HTTP server."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import urlsplit

import typer

from pixelpainter.cli import options
from pixelpainter.cli.messages import note_printer, print_note
from pixelpainter.cli.usage import wrong
from pixelpainter.extras import require

if TYPE_CHECKING:
    import socket

    from pixelpainter.refine.local import LocalRefiner

ADDRESS = "Address and access"
LIMITS = "Limits"
DIFFUSION = "Diffusion pass"
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750, 2.1

Host = Annotated[
    str,
    typer.Option(
        metavar="ADDRESS",
        help="Where to listen. Any but the default, which only this machine reaches, needs --token.",
        rich_help_panel=ADDRESS,
    ),
]
Port = Annotated[int, typer.Option(min=0, max=65535, metavar="N", help="0 = any free one.", rich_help_panel=ADDRESS)]
Token = Annotated[
    str | None,
    typer.Option(
        metavar="TOKEN",
        help="What clients must know. The variable keeps it out of the list of processes.",
        envvar="PIXELPAINTER_TOKEN",
        rich_help_panel=ADDRESS,
    ),
]
AllowHost = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help="Another name under which this server is reached, as behind a proxy; may be repeated.",
        rich_help_panel=ADDRESS,
    ),
]
Announce = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="PUT the address of this server as JSON there, for `pixelpainter refine --server-from URL`.",
        rich_help_panel=ADDRESS,
    ),
]
PublicUrl = Annotated[
    str | None,
    typer.Option(metavar="URL", help="The address to announce, such as that of a tunnel.", rich_help_panel=ADDRESS),
]
Refine = Annotated[
    bool,
    typer.Option("--refine", metavar="", help="Offer the diffusion pass as well.", rich_help_panel=DIFFUSION),
]
Preset = Annotated[
    Literal["balanced", "quality"] | None,
    typer.Option(metavar="NAME", help="balanced (default) or quality.", rich_help_panel=DIFFUSION),
]
RefineModel = Annotated[
    str | None,
    typer.Option(
        metavar="MODEL",
        help="Instead of a preset: owner/repo\\[@revision], a folder of diffusers, or a .safetensors file.",
        rich_help_panel=DIFFUSION,
    ),
]
ControlNet = Annotated[
    str | None,
    typer.Option(
        "--controlnet",
        metavar="MODEL",
        help="Holds on to the drawings that clients send along: lineart-anime, or as --refine-model.",
        rich_help_panel=DIFFUSION,
    ),
]
QueueLength = Annotated[
    int, typer.Option("--queue", min=0, metavar="N", help="Requests that may wait.", rich_help_panel=LIMITS)
]
MaxBytes = Annotated[int, typer.Option(min=1, metavar="N", help="Refuse larger requests.", rich_help_panel=LIMITS)]
MaxPixels = Annotated[
    int,
    typer.Option(min=1, metavar="N", help="Refuse larger pictures, width times height.", rich_help_panel=LIMITS),
]
TimeLimit = Annotated[
    float,
    typer.Option(
        min=0.1,
        max=86400,
        metavar="S",
        help="Seconds for a request, with its place in the queue.",
        rich_help_panel=LIMITS,
    ),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", metavar="", help="No line per request.", rich_help_panel=options.MACHINE)
]


def serve(
    host: Host = "127.0.0.1",
    port: Port = 8000,
    token: Token = None,
    allow_host: AllowHost = None,
    announce: Announce = None,
    public_url: PublicUrl = None,
    refine: Refine = False,
    preset: Preset = None,
    refine_model: RefineModel = None,
    controlnet: ControlNet = None,
    queue: QueueLength = 16,
    max_bytes: MaxBytes = 64 << 20,
    max_pixels: MaxPixels = 64_000_000,
    time_limit: TimeLimit = 300.0,
    model: options.Model = None,
    device: options.Device = "auto",
    threads: options.Threads = None,
    quiet: Quiet = False,
) -> None:
    """Color drawings for others over HTTP: POST /colorize, POST /refine, GET /status, GET /docs.

    [bold]Examples[/bold]

    pixelpainter serve

    pixelpainter serve --refine --host 0.0.0.0 --token SECRET

    curl -F sketch=@sketch.png http://127.0.0.1:8000/colorize -o color.png
    """
    require("serve", "serve", "fastapi", "uvicorn", "python_multipart")
    _check_diffusion(preset, refine_model, controlnet, refine=refine)
    _check_access(token, announce, public_url)
    # Imported here, so that --help and most usage errors wait for nothing heavy.
    import cv2

    from pixelpainter.colorize import Colorizer
    from pixelpainter.server.app import make_app
    from pixelpainter.server.limits import Limits
    from pixelpainter.server.run import bind, is_loopback
    from pixelpainter.server.run import serve as run

    limits = Limits(max_bytes=max_bytes, max_pixels=max_pixels, time_limit_s=time_limit, queue=queue)
    with bind(host, port) as listener:  # before the models are loaded, which can take minutes
        local = is_loopback(listener)
        if not local and token is None:
            raise wrong("--token", f"other machines can reach {host}; give a token (openssl rand -hex 16 makes one)")
        if threads is not None:
            cv2.setNumThreads(threads)
        colorizer = Colorizer(model, threads=threads, device=device, quiet=quiet)
        name = refine_model or preset or "balanced"
        refiner = _load_refiner(name, controlnet, device, quiet=quiet) if refine else None
        app = make_app(
            colorizer,
            refiner,
            limits=limits,
            token=token,
            hosts=_hosts(host, listener, allow_host or [], public_url) if local else None,
            own_refine_device=refiner is not None and refiner.device != colorizer.device,
            log=note_printer(quiet),
        )
        run(app, listener, limits, partial(_tell, listener, announce, public_url))


def _tell(listener: socket.socket, endpoint: str | None, public_url: str | None) -> None:
    """Say that requests are answered now, and where."""
    from pixelpainter.server.announce import announce
    from pixelpainter.server.run import url_of

    print_note(f"listening on {url_of(listener)}")
    if endpoint is not None and public_url is not None:
        announce(endpoint, public_url, on_note=print_note)


def _check_diffusion(preset: str | None, model: str | None, controlnet: str | None, *, refine: bool) -> None:
    """Refuse options for the diffusion pass that do not go together. Raises typer.BadParameter."""
    for option, value in (("--preset", preset), ("--refine-model", model), ("--controlnet", controlnet)):
        if value is not None and not refine:
            raise wrong(option, "it is for the diffusion pass; give --refine as well")
    if preset is not None and model is not None:
        raise wrong("--refine-model", "a preset is given already; choose one of --preset and --refine-model")


def _check_access(token: str | None, announce: str | None, public_url: str | None) -> None:
    """Refuse options for the address that do not go together, or are not safe. Raises typer.BadParameter."""
    from pixelpainter.refine.address import names_loopback

    if token is not None and not _TOKEN.fullmatch(token):
        raise wrong("--token", "use letters, digits and . _ ~ + / - only (openssl rand -hex 16 makes one)")
    if token is not None and not any(map(str.isalnum, token)):  # "...", as examples have it
        raise wrong("--token", f"{token} can be guessed; give one of your own (openssl rand -hex 16 makes one)")
    if announce is not None and public_url is None:
        raise wrong("--public-url", "it is needed with --announce: the address at which clients reach this server")
    if public_url is not None and token is None:
        raise wrong("--token", "a public address is for others; give a token (openssl rand -hex 16 makes one)")
    for option, url in (("--announce", announce), ("--public-url", public_url)):
        if url is not None and _is_bad(url):
            raise wrong(option, "this is no address such as https://example.org/path")
    parts = urlsplit(announce or "")
    if announce is not None and parts.scheme != "https" and not names_loopback(parts.hostname or ""):
        raise wrong("--announce", "https is needed: whoever can change what is written there can read your pictures")


def _is_bad(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme not in ("http", "https") or not parts.hostname or not url.isprintable() or parts.port == 0
    except ValueError:
        return True


def _hosts(host: str, listener: socket.socket, more: list[str], public_url: str | None) -> set[str]:
    """Return the names that a server on this machine is asked by."""
    names = {"localhost", "127.0.0.1", "[::1]", host, *more}
    bound = listener.getsockname()[0]
    names.add(f"[{bound}]" if ":" in bound else bound)
    if public_url is not None:
        public = urlsplit(public_url).hostname or ""
        names.add(f"[{public}]" if ":" in public else public)
    return {name.lower() for name in names}


def _load_refiner(
    name: str, controlnet: str | None, device: Literal["auto", "cpu", "cuda"], *, quiet: bool
) -> LocalRefiner:
    """Return the engine of the diffusion pass, loaded. Raises MissingExtraError, ModelError."""
    from pixelpainter.refine.local import LocalRefiner
    from pixelpainter.refine.weights import find_weights

    refiner = LocalRefiner(name, controlnet=controlnet, device=device, quiet=True)  # no bar for each picture
    find_weights(name, option="--refine-model", quiet=quiet)  # but one for a download
    if controlnet is not None:
        find_weights(controlnet, option="--controlnet", quiet=quiet)
    refiner.load()
    return refiner
