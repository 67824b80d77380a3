"""The shapes of what a channel's transport connects to. Credentials have no place in an address: they are secrets."""

import re

_HOST = r"(?P<host>[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\])"
_NATS_URL = re.compile(rf"(nats|tls)://{_HOST}(:(?P<port>[0-9]{{1,5}}))?")
_NATS_PORT = 4222
_HTTP_URL = re.compile(rf"https?://{_HOST}(:[0-9]{{1,5}})?/?")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


def is_nats_url(text: str) -> bool:
    return _NATS_URL.fullmatch(text) is not None


def nats_server(url: str) -> str:
    """HOST:PORT of the server at an address: the same one whether it is spoken to over TLS or in the clear."""
    found = _NATS_URL.fullmatch(url)
    return f"{found['host'].lower()}:{int(found['port'] or _NATS_PORT)}" if found else url


def is_http_url(text: str) -> bool:
    return _HTTP_URL.fullmatch(text) is not None


def is_bucket(text: str) -> bool:
    return _BUCKET.fullmatch(text) is not None and ".." not in text
