"""The server of the page: what it answers, to whom, and what it refuses.

An annotator's link holds a secret. The page sends it back in the `Authorization` header of each request, so that no
other site can send one in the annotator's name: there are no cookies. Everything said or shown is of that annotator.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import sqlite3
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from curate.errors import CurateError
from curate.rank.campaign import Answer, Campaign, Key, Task, shown_order
from curate.rank.page.assign import SKIPPED, VOTED, next_task, progress, touch, was_given
from curate.rank.page.figures import figures
from curate.rank.page.render import render
from curate.rank.page.store import Store, add_annotator, as_vote, export_votes, votes_of
from curate.rank.votes import Vote, now

__all__ = ["LARGEST_BODY", "Site", "make_app"]

LARGEST_BODY = 65_536
"""Bytes of a request."""

MOST_SIGNED_UP = 1000
"""Annotators who can sign up by themselves."""

HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}

TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}

Name = Annotated[str, Field(pattern="^[A-Za-z0-9_-]{1,64}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Judged(_Strict):
    ranks: dict[Annotated[str, Field(pattern="^[a-i]$")], Annotated[int, Field(ge=1, le=9)]] = {}
    all_bad: bool = False


class _State(_Strict):
    """What an annotator has done on a task: a draft, and then a vote."""

    criteria: dict[str, _Judged]
    comment: str = Field("", max_length=10_000)
    seconds: float = Field(0, ge=0, allow_inf_nan=False)


class _Open(_Strict):
    task: Name | None = None


class _Draft(_Strict):
    task: Name
    state: _State


class _Submission(_Draft):
    submission: Name
    skipped: bool = False


class _Person(_Strict):
    name: str


class _Nothing(_Strict):
    pass


@dataclass
class Site:
    """What a server serves. others: votes that came from elsewhere; timeout: seconds after which a task goes back."""

    store: Store
    campaign: Campaign
    key: dict[str, Key]
    admin: str
    others: Sequence[Vote] = ()
    timeout: float = 3600
    open_signup: bool = False
    hosts: frozenset[str] | None = None
    """Names that a request may call the server by; None: any."""

    exporting: asyncio.Lock = field(default_factory=asyncio.Lock)
    """No two exports add the same votes."""

    names: dict[str, str] = field(default_factory=dict)
    """Annotators by secret, as far as they were seen."""

    async def annotator(self, secret: str) -> str:
        """Whose secret it is. Raises HTTPException 401."""
        if secret not in self.names:
            row = await self.store.read(
                lambda db: db.execute("SELECT name FROM annotators WHERE secret = ?", (secret,)).fetchone()
            )
            if row is None:
                raise HTTPException(401, "This link is not known here.")
            self.names[secret] = row[0]
        return self.names[secret]

    def is_admin(self, secret: str) -> bool:
        return secrets.compare_digest(secret.encode(), self.admin.encode())


def make_app(site: Site) -> ASGIApp:
    """The application, for an ASGI server."""
    static = files("curate.rank.page") / "static"
    shell = (static / "rank.html").read_bytes()
    assets = {entry.name: entry.read_bytes() for entry in static.iterdir() if entry.name.rpartition(".")[2] in TYPES}

    async def front(request: Request) -> Response:
        return _page("notice.html.j2", signup=site.open_signup)

    async def annotate(request: Request) -> Response:
        await site.annotator(request.path_params["secret"])
        return Response(shell, media_type="text/html")

    async def administer(request: Request) -> Response:
        _need_admin(site, request.path_params["secret"])
        found = await site.store.read(lambda db: figures(db, site.store.folder, site.campaign, site.key, site.others))
        return await asyncio.to_thread(_page, "admin.html.j2", **found)

    async def asset(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in assets:
            raise HTTPException(404, "There is no such page.")
        return Response(assets[name], media_type=TYPES[name.rpartition(".")[2]])

    app = Starlette(
        routes=[
            Route("/", front),
            Route("/a/{secret}", annotate),
            Route("/admin/{secret}", administer),
            Route("/static/{name}", asset),
            _api(site, "start", _Nothing, _start),
            _api(site, "open", _Open, _open),
            _api(site, "draft", _Draft, _keep),
            _api(site, "vote", _Submission, _vote),
            _api(site, "signup", _Person, _sign_up, who="anybody"),
            _api(site, "admin/link", _Person, _link, who="admin"),
            _api(site, "admin/export", _Nothing, _export, who="admin"),
            _api(site, "admin/votes", _Nothing, _votes, who="admin"),
        ],
        exception_handlers={HTTPException: _refused, Exception: _broken},  # type: ignore[dict-item]
    )
    return _Guard(app, site.hosts)


class _Guard:
    """Puts the headers on every answer, and turns away requests that name the server otherwise than its own users do.

    The latter is what keeps a site that lets its name point to this machine from reading what is served on it.
    """

    def __init__(self, app: ASGIApp, hosts: frozenset[str] | None) -> None:
        self.app = app
        self.hosts = hosts
        self.headers = [(name.encode(), value.encode()) for name, value in HEADERS.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *self.headers]}
            await send(message)

        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if self.hosts is not None:
            host = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"host"), "")
            if (host if host.endswith("]") else host.rpartition(":")[0] or host) not in self.hosts:
                await Response("not the name of this server", 421)(scope, receive, guarded)
                return
        await self.app(scope, receive, guarded)


@lru_cache(1)
def _templates() -> Any:
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    static = files("curate.rank.page") / "static"
    loader = FunctionLoader(lambda name: (static / name).read_text(encoding="utf-8"))
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


def _page(name: str, status: int = 200, **values: Any) -> Response:
    return Response(_templates().get_template(name).render(values), status, media_type="text/html")


async def _refused(request: Request, error: HTTPException) -> Response:
    if request.url.path.startswith("/api/"):
        return JSONResponse({"error": error.detail}, error.status_code)
    return _page("notice.html.j2", error.status_code, signup=False)


async def _broken(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": "The server has a fault; nothing was changed."}, 500)


def _need_admin(site: Site, secret: str) -> None:
    if not site.is_admin(secret):
        raise HTTPException(401, "This link is not known here.")


Handler = Callable[[Site, str, Any], Awaitable[Any]]


def _api(
    site: Site, name: str, model: type[BaseModel], do: Handler, who: Literal["annotator", "admin", "anybody"] = "annotator"
) -> Route:
    """A route for JSON in and out, of those who may."""

    async def handle(request: Request) -> Response:
        # Of another site's page the browser tells; none can set the header of an annotator, or send JSON unasked.
        if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            raise HTTPException(403, "Asked from another site.")
        if request.headers.get("content-type") != "application/json":
            raise HTTPException(415, "The content type is not application/json.")
        secret = request.headers.get("authorization", "").removeprefix("Bearer ")
        person = ""
        if who == "admin":
            _need_admin(site, secret)
        elif who == "annotator":
            person = await site.annotator(secret)
        body = await _body(request)
        try:
            answer = await do(site, person, model.model_validate_json(body or b"{}"))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise HTTPException(422, f"{where}: {first['msg']}") from error
        except CurateError as error:
            raise HTTPException(422, str(error)) from error
        except (sqlite3.Error, OSError) as error:
            raise HTTPException(503, f"Not saved: {error}") from error
        return Response(answer if isinstance(answer, bytes) else json.dumps(answer), media_type="application/json")

    return Route(f"/api/{name}", handle, methods=["POST"])


async def _body(request: Request) -> bytes:
    body = b""
    try:
        async for part in request.stream():
            body += part
            if len(body) > LARGEST_BODY:
                raise HTTPException(413, f"More than {LARGEST_BODY:,} bytes.")
    except ClientDisconnect as error:
        raise HTTPException(400, "Broken off.") from error
    return body


async def _start(site: Site, person: str, _: _Nothing) -> Any:
    instructions, _remark = render(site.campaign.instructions)
    return {"annotator": person, "criteria": site.campaign.criteria, "instructions": instructions}


async def _open(site: Site, person: str, asked: _Open) -> Any:
    """The next task, or one that the annotator had before, with what they made of it."""

    def do(db: sqlite3.Connection) -> Any:
        at = time.time()
        task = asked.task
        if task is None:
            task = next_task(db, person, site.campaign, at, site.timeout)
        elif was_given(db, person, task) is None:
            raise HTTPException(403, "Not a task of yours.")
        else:
            touch(db, person, task, at)
        return task, _before(db, person, task), progress(db, person, site.campaign.overlap), *_work(db, person, task)

    task, before, (done, left), content, state, voted = await site.store.write(do)
    head = json.dumps({"task": task, "previous": before, "done": done, "left": left, "state": state, "voted": voted})
    if task is None:
        return head.encode()
    shown = shown_order(site.campaign, _task(task, content), person)
    prompt, answers = await asyncio.to_thread(_rendered, content)
    ordered = b",".join(answers[name] for name in shown)
    return b'%s, "prompt": %s, "answers": [%s]}' % (head[:-1].encode(), prompt, ordered)


def _before(db: sqlite3.Connection, person: str, task: str | None) -> str | None:
    """The task that the annotator voted on before this one."""
    row = db.execute(
        "SELECT task FROM votes JOIN tasks USING (task) WHERE annotator = ? GROUP BY task"
        " HAVING min(id) < coalesce((SELECT min(id) FROM votes WHERE annotator = ? AND task = ?), 9e18)"
        " ORDER BY min(id) DESC LIMIT 1",
        (person, person, task),
    ).fetchone()
    return None if row is None else str(row[0])


def _work(db: sqlite3.Connection, person: str, task: str | None) -> tuple[str, Any, bool]:
    """A task's content, what the annotator made of it until now, and whether they voted."""
    if task is None:
        return "", None, False
    (content,) = db.execute("SELECT content FROM tasks WHERE task = ?", (task,)).fetchone()
    rows = db.execute("SELECT row FROM votes WHERE annotator = ? AND task = ? ORDER BY id", (person, task)).fetchall()
    draft = db.execute("SELECT state FROM drafts WHERE annotator = ? AND task = ?", (person, task)).fetchone()
    if draft is not None:
        return content, json.loads(draft[0]), bool(rows)
    votes = {vote.criterion: vote for vote in (as_vote(row) for (row,) in rows)}
    criteria = {name: {"ranks": vote.ranks or {}, "all_bad": vote.all_bad} for name, vote in votes.items()}
    comment = next((vote.comment for vote in votes.values() if vote.comment), "")
    return content, {"criteria": criteria, "comment": comment, "seconds": 0} if rows else None, bool(rows)


def _task(name: str, content: str) -> Task:
    value = json.loads(content)
    return Task(name, tuple(value["prompt"]), tuple(Answer(*answer) for answer in value["answers"]))


@lru_cache(512)
def _rendered(content: str) -> tuple[bytes, dict[str, bytes]]:
    """JSON of a task's prompt, and of each answer."""
    value = json.loads(content)
    prompt = []
    for message in value["prompt"]:
        trees, remark = render(message["content"])
        prompt.append({"role": message["role"], "trees": trees, "remark": remark})
    answers = {}
    for name, text in value["answers"]:
        trees, remark = render(text)
        answers[name] = json.dumps({"answer": name, "trees": trees, "remark": remark}).encode()
    return json.dumps(prompt).encode(), answers


def _checked(site: Site, state: _State, task: Task) -> None:
    """Raises HTTPException where the state is not of this task and campaign."""
    names = {answer.answer for answer in task.answers}
    if strange := [name for name in state.criteria if name not in site.campaign.criteria]:
        raise HTTPException(422, f"Not a criterion here: {strange[0][:64]}")
    if any(set(judged.ranks) - names for judged in state.criteria.values()):
        raise HTTPException(422, "A rank is of an answer that the task has not.")


def _given(db: sqlite3.Connection, person: str, name: str) -> tuple[Task, float]:
    since = was_given(db, person, name)
    if since is None:
        raise HTTPException(403, "Not a task of yours.")
    return _task(name, db.execute("SELECT content FROM tasks WHERE task = ?", (name,)).fetchone()[0]), since


async def _keep(site: Site, person: str, draft: _Draft) -> Any:
    """Keep a draft."""

    def do(db: sqlite3.Connection) -> Any:
        task, _ = _given(db, person, draft.task)
        _checked(site, draft.state, task)
        touch(db, person, draft.task, time.time())
        db.execute("INSERT OR REPLACE INTO drafts VALUES (?, ?, ?)", (person, draft.task, draft.state.model_dump_json()))
        return {"saved": True}

    return await site.store.write(do)


async def _vote(site: Site, person: str, given: _Submission) -> Any:
    """Book a vote: a line a criterion. The same submission twice is one."""

    def do(db: sqlite3.Connection) -> Any:
        task, since = _given(db, person, given.task)
        if db.execute("SELECT 1 FROM votes WHERE annotator = ? AND submission = ?", (person, given.submission)).fetchone():
            return {"saved": True}
        _checked(site, given.state, task)
        (last,) = db.execute("SELECT max(at) FROM votes WHERE annotator = ? AND task = ?", (person, given.task)).fetchone()
        # A clock that was set back must not make of the last vote an earlier one.
        at = max(now(), last or "")
        votes = _as_votes(site.campaign, person, given, task, at, time.time() - since)
        rows = [(person, v.task, v.criterion, v.at, given.submission, json.dumps(v.row(), ensure_ascii=False)) for v in votes]
        db.executemany("INSERT INTO votes (annotator, task, criterion, at, submission, row) VALUES (?, ?, ?, ?, ?, ?)", rows)
        db.execute("DELETE FROM drafts WHERE annotator = ? AND task = ?", (person, given.task))
        touch(db, person, given.task, time.time(), SKIPPED if given.skipped else VOTED)
        return {"saved": True}

    return await site.store.write(do)


def _as_votes(campaign: Campaign, person: str, given: _Submission, task: Task, at: str, open_for: float) -> list[Vote]:
    votes = []
    shown = shown_order(campaign, task, person)
    seconds = round(min(given.state.seconds, open_for), 1)
    for number, criterion in enumerate(campaign.criteria):
        judged = given.state.criteria.get(criterion, _Judged())
        ranks: dict[str, int] | None = None
        if not given.skipped:
            levels = sorted(set(judged.ranks.values()))
            ranks = {name: levels.index(rank) + 1 for name, rank in sorted(judged.ranks.items())}
            if len(ranks) < 2 and judged.all_bad:
                ranks = {answer.answer: 1 for answer in task.answers}
            if len(ranks) < 2:
                raise HTTPException(422, f"{criterion}: rank two answers or more, or skip the task.")
        comment = given.state.comment if number == 0 else ""
        all_bad = judged.all_bad and not given.skipped
        votes.append(Vote(task.task, person, criterion, ranks, at, all_bad, comment, shown, seconds, "page"))
    return votes


async def _sign_up(site: Site, _: str, person: _Person) -> Any:
    def do(db: sqlite3.Connection) -> str:
        (count,) = db.execute("SELECT count(*) FROM annotators").fetchone()
        taken = db.execute("SELECT 1 FROM annotators WHERE name = ?", (person.name,)).fetchone()
        if taken or count >= MOST_SIGNED_UP:
            raise HTTPException(422, "The name is taken: choose another." if taken else "There are annotators enough.")
        return add_annotator(db, person.name)

    if not site.open_signup:
        raise HTTPException(403, "Annotators cannot sign up by themselves here.")
    return {"link": f"/a/{await site.store.write(do)}"}


async def _link(site: Site, _: str, person: _Person) -> Any:
    return {"link": f"/a/{await site.store.write(lambda db: add_annotator(db, person.name))}"}


async def _export(site: Site, _: str, __: _Nothing) -> Any:
    async with site.exporting:
        return {"added": await site.store.read(lambda db: export_votes(db, site.store.folder))}


async def _votes(site: Site, _: str, __: _Nothing) -> Any:
    """Every vote given here, as the lines of votes.jsonl."""
    votes = await site.store.read(votes_of)
    return {"lines": [json.dumps(vote.row(), ensure_ascii=False) for vote in votes]}
