"""Cordons and pauses in words, the same ones wherever they are shown."""

from gitopsd.daemon.control import KnownCordon, KnownPause
from gitopsd.model.control import Cordon, Pause


def cordon_word(cordon: KnownCordon | None) -> str:
    """For a column; empty for a worker that takes jobs."""
    if cordon is None:
        return ""
    return ("drained" if cordon.drained else "cordoned") + (", expired" if cordon.expired else "")


def cordon_sentence(cordon: KnownCordon | Cordon) -> str:
    """Who, why, since when and until when."""
    return _sentence("drained" if cordon.drained else "cordoned", cordon, "gitopsd worker uncordon")


def pause_sentence(pause: KnownPause | Pause) -> str:
    """Who, why, since when and until when."""
    return _sentence("paused", pause, "gitopsd resume")


def _sentence(what: str, one: KnownCordon | Cordon | KnownPause | Pause, end: str) -> str:
    said = f"{what} by {one.owner} since {one.since}"
    if isinstance(one, KnownCordon | KnownPause) and one.expired:
        return f"{said}, expired at {one.until}: the next apply ends it: {one.reason}"
    return f"{said}, until {one.until or f'`{end}`'}: {one.reason}"
