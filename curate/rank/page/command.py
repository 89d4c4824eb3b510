"""`curate rank serve` and `curate rank link`: the commands of the page."""

from __future__ import annotations

import ipaddress
import secrets
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from curate.errors import InputError, MissingExtra, OutputError, UsageError
from curate.rank.campaign import KEY, VOTES, campaign_folder, read_campaign, read_key, read_tasks

if TYPE_CHECKING:
    from curate.rank.page.server import Site

__all__ = ["rank"]

rank = App(
    name="rank",
    help="Ranking by people: tasks out, a page to do them on, votes in, and what they say.",
    help_format="plaintext",
)

Debug = Annotated[bool, Parameter(negative=(), show_default=False, help="Show the traceback of an error.")]


@rank.command(name="serve")
def serve_command(
    folder: Path,
    /,
    *,
    port: Annotated[int, Parameter(help="Port to listen on; 0: any that is free.")] = 8765,
    host: Annotated[str, Parameter(help="Address to listen on; beyond this machine only with --public.")] = "127.0.0.1",
    public: Annotated[
        bool,
        Parameter(
            negative=(),
            help="Let other machines in. Whoever holds a link can use it, and without TLS whoever is on the way can read"
            " it: put a proxy with TLS in front.",
        ),
    ] = False,
    url: Annotated[str | None, Parameter(help="Where people reach the page, for the links; default: host and port.")] = None,
    return_after: Annotated[
        float, Parameter(help="Minutes after which a task that was opened and left goes to somebody else.")
    ] = 60,
    open_signup: Annotated[
        bool, Parameter(negative=(), help="Let whoever reaches the page take a name and a link by themselves.")
    ] = False,
    export: Annotated[
        bool, Parameter(negative=(), help="Add the votes given so far to votes.jsonl, and do not serve.")
    ] = False,
    debug: Debug = False,
) -> int:
    """Serve the page that annotators rank on, until Ctrl-C; votes are added to votes.jsonl when it ends.

    Every annotator has a link with a secret of their own (`curate rank link`), and so has the admin page. Votes and
    drafts are on disk, in page.sqlite, as soon as the page says so.

    Parameters
    ----------
    folder
        A campaign, made by `curate rank export`.
    """
    folder = campaign_folder(folder)
    if export:
        return _export(folder)
    _check_host(host, public)
    if not 0 < return_after < float("inf"):
        raise UsageError(f"--return-after {return_after:g}: must be more than 0 minutes")
    try:
        import starlette  # noqa: F401
        import uvicorn
    except ImportError as error:
        raise MissingExtra("The page for annotators", "rank") from error
    from curate.rank.page.server import make_app

    listening = _listen(host, port)
    try:
        port = listening.getsockname()[1]
        name = f"[{host}]" if ":" in host else host
        base = (url or f"http://{name}:{port}").rstrip("/")
        hosts = None if public else frozenset({"127.0.0.1", "localhost", "[::1]", name})
        site = _site(folder, base, hosts, return_after * 60, open_signup)
        try:
            config = uvicorn.Config(
                make_app(site), log_level="error", access_log=False, server_header=False, proxy_headers=False,
                timeout_graceful_shutdown=5, ws="none", lifespan="off",
            )  # fmt: skip
            with suppress(KeyboardInterrupt):
                uvicorn.Server(config).run(sockets=[listening])
        finally:
            site.store.close()
    finally:
        listening.close()
    return _export(folder)


@rank.command(name="link")
def link_command(folder: Path, name: str, /, *, debug: Debug = False) -> int:
    """Print an annotator's link to the page; who has none yet gets one. It works at once, while the page is served.

    Parameters
    ----------
    folder
        A campaign, made by `curate rank export`.
    name
        The annotator's name, as votes will have it.
    """
    from curate.rank.page.store import add_annotator, connect, setting

    folder = campaign_folder(folder)
    read_campaign(folder)
    db = connect(folder)
    try:
        base = setting(db, "base", "http://127.0.0.1:8765")
        sys.stdout.write(f"{base}/a/{add_annotator(db, name)}\n")
    finally:
        db.close()
    return 0


def _check_host(host: str, public: bool) -> None:
    """Raises UsageError where other machines would be let in, and that was not asked for."""
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback and not public:
        raise UsageError(
            f"--host {host}: other machines could reach the page, and without TLS whoever is on the way could read links and"
            " answers; add --public if that is meant, best behind a proxy with TLS"
        )


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(1024)
    except (OSError, OverflowError) as error:
        listening.close()
        raise OutputError(
            f"{host}:{port}: cannot listen: {getattr(error, 'strerror', None) or error}; try another --port"
        ) from error
    return listening


def _site(folder: Path, base: str, hosts: frozenset[str] | None, timeout: float, open_signup: bool) -> Site:
    """The campaign, ready to be served; prints the links."""
    from curate.rank.page.server import Site
    from curate.rank.page.store import Store, add_annotator, connect, fill, setting, votes_of, whole_lines
    from curate.rank.votes import read_votes

    campaign = read_campaign(folder)
    key = read_key(folder) if (folder / KEY).exists() else {}
    before = []
    if (folder / VOTES).exists():
        whole_lines(folder / VOTES)
        before = read_votes(folder / VOTES)
    db = connect(folder)
    try:
        if not fill(db, read_tasks(folder), key, before):
            raise InputError(f"{folder}: the campaign has no tasks")
        db.execute("INSERT OR REPLACE INTO settings VALUES ('base', ?)", (base,))
        admin = setting(db, "admin", secrets.token_urlsafe(16))
        for name in campaign.annotators:
            add_annotator(db, name)
        own = {(vote.annotator, vote.task, vote.criterion, vote.at) for vote in votes_of(db)}
        links = db.execute("SELECT name, secret FROM annotators ORDER BY name").fetchall()
    finally:
        db.close()
    width = max((len(name) for name, _ in links), default=0)
    lines = [f"  {name:{width}}  {base}/a/{secret}" for name, secret in links]
    if not lines:
        lines = [f"  none yet: `curate rank link {folder} NAME` makes one, and so does the admin page"]
    if open_signup:
        lines.append(f"  whoever comes by: {base}/")
    sys.stdout.write("\n".join([f"admin: {base}/admin/{admin}", "annotators:", *lines, "Ctrl-C ends; no vote is lost.", ""]))
    sys.stdout.flush()
    others = [vote for vote in before if (vote.annotator, vote.task, vote.criterion, vote.at) not in own]
    return Site(Store(folder), campaign, key, admin, others, timeout, open_signup, hosts)


def _export(folder: Path) -> int:
    from curate.rank.page.store import connect, export_votes

    read_campaign(folder)
    db = connect(folder)
    try:
        added = export_votes(db, folder)
    finally:
        db.close()
    sys.stdout.write(f"{folder / VOTES}: {added:,} votes added\n")
    return 0
