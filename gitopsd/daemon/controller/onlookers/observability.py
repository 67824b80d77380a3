"""`listen: metrics`: /metrics for Prometheus, /healthz and /readyz for whoever keeps the controller up."""

from collections.abc import Sequence

import msgspec
from prometheus_client.exposition import choose_encoder
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from gitopsd.daemon.controller.onlookers.health import Alive, Health, Ready
from gitopsd.daemon.controller.onlookers.metrics import Metrics


def routes(metrics: Metrics, health: Health) -> Sequence[BaseRoute]:
    async def scraped(request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(metrics.registry), headers={"content-type": content_type})

    async def alive(request: Request) -> Response:
        del request
        answer = health.alive()
        return _answer(answer, ok=answer.alive)

    async def ready(request: Request) -> Response:
        del request
        answer = health.ready()
        return _answer(answer, ok=answer.ready)

    return (Route("/metrics", scraped), Route("/healthz", alive), Route("/readyz", ready))


def _answer(value: Alive | Ready, *, ok: bool) -> Response:
    return Response(msgspec.json.encode(value) + b"\n", 200 if ok else 503, media_type="application/json")
