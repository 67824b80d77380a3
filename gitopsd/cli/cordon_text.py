"""Cordons, quarantines and pauses in words, the same ones wherever they are shown."""

from gitopsd.daemon.artifacts.control import KnownCordon, KnownHold, KnownPause, KnownQuarantine
from gitopsd.model.control import Cordon, Pause, Quarantine


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


def version_hold_sentence(hold: KnownHold) -> str:
    """Who, why, since when and until when."""
    return _sentence(f"held at {hold.commit[:12]}", hold, "gitopsd resume")


def quarantine_sentence(workflow: str, one: KnownQuarantine | Quarantine) -> str:
    """Who, why, since when and until when, and what runs instead."""
    instead = f"held as deployment {one.returns_to} has it" if one.returns_to else "nothing of it runs"
    said = _sentence("quarantined", one, f"gitopsd quarantine release {workflow}", or_="another version of it, or ")
    return f"{said} ({instead})"


_Known = KnownCordon | KnownHold | KnownPause | KnownQuarantine


def _sentence(what: str, one: _Known | Cordon | Pause | Quarantine, end: str, or_: str = "") -> str:
    said = f"{what} by {one.owner} since {one.since}"
    if isinstance(one, _Known) and one.expired:
        return f"{said}, expired at {one.until}: the next apply ends it: {one.reason}"
    return f"{said}, until {or_}{one.until or f'`{end}`'}: {one.reason}"
