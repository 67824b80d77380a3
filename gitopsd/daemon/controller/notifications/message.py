"""From a notification to the JSON that is posted: Slack's `{"text": …}`, or what the operator's template says.

Templates are JSON values with the project's own `${{ … }}` in their texts, evaluated first and encoded afterwards, so
nothing that an event says can become a part of the JSON around it.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UnsetType

from gitopsd.compiler.expressions.texts import evaluate
from gitopsd.daemon.controller.notifications.changes import Notification
from gitopsd.model.excerpt import printable

LONGEST_TEXT = 3000
_NO_BREAK = "\N{ZERO WIDTH SPACE}"


def body(notification: Notification, template: str | Mapping[str, Any] | UnsetType) -> bytes:
    """Raises ExpressionError where the template can't be evaluated for this one."""
    scope = _scope(notification)
    if isinstance(template, UnsetType):
        return msgspec.json.encode({"text": scope["text"]})
    evaluated = evaluate(template, scope)
    return msgspec.json.encode({"text": evaluated} if isinstance(template, str) else evaluated)


def harmless(text: str) -> str:
    """Text that mentions nobody and links nowhere, neither in Slack's mrkdwn nor where a bare `@here` calls people."""
    shown = "\n".join(printable(line) for line in text.splitlines())
    if len(shown) > LONGEST_TEXT:
        shown = f"{shown[:LONGEST_TEXT]} …"
    return shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("@", f"@{_NO_BREAK}")


def _scope(notification: Notification) -> dict[str, Any]:
    """The `NAMES` of notify_template.py."""
    title, detail = harmless(notification.title), harmless(notification.detail)
    environment = harmless(notification.environment)
    first = f"{environment}: {title}" if environment else title
    return {
        "text": f"{first}\n{detail}".rstrip(),
        "occasion": notification.occasion,
        "environment": environment,
        "title": title,
        "detail": detail,
        "deployment": notification.deployment,
        "source": notification.source,
        "workers": [harmless(worker) for worker in notification.workers],
    }
