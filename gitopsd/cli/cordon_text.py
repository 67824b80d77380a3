"""A cordon in words, the same ones wherever it is shown."""

from gitopsd.daemon.control import KnownCordon
from gitopsd.model.control import Cordon


def cordon_word(cordon: KnownCordon | None) -> str:
    """For a column; empty for a worker that takes jobs."""
    if cordon is None:
        return ""
    return ("drained" if cordon.drained else "cordoned") + (", expired" if cordon.expired else "")


def cordon_sentence(cordon: KnownCordon | Cordon) -> str:
    """Who, why, since when and until when."""
    what = "drained" if cordon.drained else "cordoned"
    said = f"{what} by {cordon.owner} since {cordon.since}"
    if isinstance(cordon, KnownCordon) and cordon.expired:
        end = f", expired at {cordon.until}: the next apply ends it"
    else:
        end = f", until {cordon.until}" if cordon.until else ", until `gitopsd worker uncordon`"
    return f"{said}{end}: {cordon.reason}"
