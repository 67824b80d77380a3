"""The stand-in behind an address on loopback: tokens, limits, outages, ETags and pages, then the API of its kind."""

import hashlib
import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gitopsd.forge.forge import ForgeKind
from tests.forge.standin import gitea, github, gitlab
from tests.forge.standin.call import Api, Call, NoSuchThingError, RefusedError, Reply
from tests.forge.standin.forge import TOKEN, Asked, Standin

_APIS = {"github": github.API, "gitlab": gitlab.API, "gitea": gitea.API, "forgejo": gitea.API}
_DEADLINE = 20.0


@contextmanager
def forge_standin(kind: ForgeKind, folder: Path, repository: Path | None = None) -> Iterator[Standin]:
    """A forge at `url` for the length of a `with`: of a bare repository, else of a new one with a commit on `main`."""
    forge, api = Standin(kind=kind, folder=folder, path=repository), _APIS[kind]

    async def endpoint(request: Request) -> Response:
        content = await request.body()
        return await run_in_threadpool(_answer, forge, api, request, content)

    methods = ["GET", "POST", "PUT", "PATCH"]
    with serving(Starlette(routes=[Route("/{path:path}", endpoint, methods=methods)])) as url:
        forge.url = url
        yield forge


@contextmanager
def serving(app: Starlette, *, certificate: Path | None = None, key: Path | None = None) -> Iterator[str]:
    """The address of an application, for the length of a `with`; by TLS with a certificate."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=1,
            ssl_certfile=certificate,
            ssl_keyfile=key,
        )
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    end = time.monotonic() + _DEADLINE
    while not server.started:
        assert time.monotonic() < end, "the server doesn't start"
        time.sleep(0.005)
    try:
        yield f"{'https' if certificate else 'http'}://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(_DEADLINE)


def _answer(forge: Standin, api: Api, request: Request, content: bytes) -> Response:
    with forge.lock:
        path = request.scope["raw_path"].decode("ascii").partition("?")[0]
        response = _before(forge, request) or _handle(forge, api, request, path, content)
        response.headers.update(_limits(forge))
        query = dict(request.query_params)
        forge.requests.append(Asked(method=request.method, path=path, query=query, status=response.status_code))
        return response


def _before(forge: Standin, request: Request) -> Response | None:
    """What keeps the API from seeing it."""
    conditions = forge.conditions
    if conditions.outage or (conditions.broken_writes and request.method != "GET"):
        return Response("<html>out of order</html>", status_code=conditions.outage or 502, media_type="text/html")
    word, _, token = request.headers.get("authorization", "").partition(" ")
    if word != ("token" if forge.kind in {"gitea", "forgejo"} else "Bearer") or token != TOKEN:
        return _json(Reply(body={"message": "Bad credentials"}, status=401))
    if conditions.secondary:
        after = {} if conditions.retry_after is None else {"retry-after": str(conditions.retry_after)}
        body = {"message": "You have exceeded a secondary rate limit."}
        return _json(Reply(body=body, status=403 if forge.kind == "github" else 429, headers=after))
    if conditions.remaining is not None:
        if conditions.remaining == 0:
            body = {"message": "API rate limit exceeded"}
            return _json(Reply(body=body, status=403 if forge.kind == "github" else 429))
        conditions.remaining -= 1
    return None


def _handle(forge: Standin, api: Api, request: Request, path: str, content: bytes) -> Response:
    forge.notice()
    try:
        handler, place = api.find(request.method, path)
        _require_repository(forge, place)
        call = Call(forge=forge, place=place, query=request.query_params, body=json.loads(content) if content else {})
        reply = handler(call)
    except NoSuchThingError:
        return _json(Reply(body={"message": "Not Found"}, status=404))
    except RefusedError as refused:
        return _json(Reply(body={"message": refused.message}, status=refused.status))
    response = _json(_page(forge, api, request, reply))
    if api.has_etags and request.method == "GET":
        etag = f'W/"{hashlib.sha256(response.body).hexdigest()}"'
        if request.headers.get("if-none-match") == etag:
            return Response(status_code=304, headers={"etag": etag})
        response.headers["etag"] = etag
    return response


def _require_repository(forge: Standin, place: Mapping[str, str]) -> None:
    named = f"{place['owner']}/{place['repo']}" if "owner" in place else place.get("project", forge.name)
    if named not in {forge.name, str(gitlab.PROJECT_ID)}:
        raise NoSuchThingError


def _page(forge: Standin, api: Api, request: Request, reply: Reply) -> Reply:
    if not isinstance(reply.body, list):
        return reply
    total = {"x-total-count": str(len(reply.body))} if forge.kind in {"gitea", "forgejo"} else {}
    if reply.whole:
        return Reply(body=reply.body, headers=total)
    size = min(int(request.query_params.get(api.size, 30)), forge.page_limit)
    page = int(request.query_params.get("page", 1))
    more = len(reply.body) > size * page
    link = {"link": f'<http://elsewhere.invalid/?page={page + 1}>; rel="next"'} if more else {}
    return Reply(body=reply.body[size * (page - 1) : size * page], headers={**total, **link})


def _limits(forge: Standin) -> dict[str, str]:
    remaining = forge.conditions.remaining
    if remaining is None or forge.kind in {"gitea", "forgejo"}:
        return {}
    prefix = "x-ratelimit" if forge.kind == "github" else "ratelimit"
    reset = str(int(time.time()) + forge.conditions.reset_in)
    return {f"{prefix}-remaining": str(remaining), f"{prefix}-reset": reset}


def _json(reply: Reply) -> Response:
    return Response(
        json.dumps(reply.body), status_code=reply.status, headers=dict(reply.headers), media_type="application/json"
    )
