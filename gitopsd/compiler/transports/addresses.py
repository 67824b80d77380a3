"""The shapes of what a channel's transport connects to. Credentials have no place in an address: they are secrets."""

import re

_HOST = r"([A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\])"
_NATS_URL = re.compile(rf"(nats|tls)://{_HOST}(:[0-9]{{1,5}})?")
_HTTP_URL = re.compile(rf"https?://{_HOST}(:[0-9]{{1,5}})?/?")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


def is_nats_url(text: str) -> bool:
    return _NATS_URL.fullmatch(text) is not None


def is_http_url(text: str) -> bool:
    return _HTTP_URL.fullmatch(text) is not None


def is_bucket(text: str) -> bool:
    return _BUCKET.fullmatch(text) is not None and ".." not in text
