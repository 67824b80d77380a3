from __future__ import annotations

from typing import TYPE_CHECKING

from gitopsd.runner.errors import JobError
from gitopsd.runner.roles.transform.expressions import Expression, compile_expression

if TYPE_CHECKING:
    from gitopsd.runner.settings import Settings

TAKEN = ("default", "error")
"""Ports that have a meaning of their own."""


def compile_routes(route: Settings) -> list[tuple[str, Expression]]:
    """Port -> the condition for which an event goes there. Raises JobError."""
    for port in route.names():
        if port in TAKEN:
            raise JobError(f"{route.where} names the port {port}, which takes what no condition is for; remove it")
    return [(port, compile_expression(route.text(port), f"{route.where}.{port}")) for port in route.names()]
