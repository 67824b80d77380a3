"""Where this machine gets its packages from: the mirror and suite that the base image is made of."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

APT_FOLDER = Path("/etc/apt")
ONE_LINE = re.compile(r"^deb\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<components>[^#]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    uri: str
    suite: str
    components: tuple[str, ...]
    keyring: str | None


class NoSourceError(Exception):
    """No apt source of this machine offers its own release."""


def parse_one_line(text: str) -> Iterator[Source]:
    """The `deb` lines of a classic sources.list."""
    for line in text.splitlines():
        match = ONE_LINE.match(line.strip())
        if match is None:
            continue
        options = dict(option.split("=", 1) for option in (match["options"] or "").split() if "=" in option)
        yield Source(
            uri=match["uri"],
            suite=match["suite"],
            components=tuple(match["components"].split()),
            keyring=_keyring(options.get("signed-by", "")),
        )


def parse_deb822(text: str) -> Iterator[Source]:
    """The enabled binary sources of a `.sources` file, one for each pair of URI and suite."""
    for stanza in _stanzas(text):
        if "deb" not in stanza.get("types", "").split() or stanza.get("enabled", "yes").lower() == "no":
            continue
        for uri in stanza.get("uris", "").split():
            for suite in stanza.get("suites", "").split():
                yield Source(
                    uri=uri,
                    suite=suite,
                    components=tuple(stanza.get("components", "").split()),
                    keyring=_keyring(stanza.get("signed-by", "")),
                )


def choose(sources: Iterable[Source], codename: str) -> Source:
    """The first source of the release itself: not of its updates, and not of a vendor's repository beside it."""
    for source in sources:
        if source.suite == codename and "main" in source.components:
            return source
    raise NoSourceError(
        f"no apt source offers suite {codename!r} with component 'main'; add one in /etc/apt to make machines of"
    )


def source_of(suite: str | None = None) -> Source:
    """Where a release is had from: the one that this machine runs, or another one from the same mirror."""
    own = own_source()
    return own if suite is None else replace(own, suite=suite)


def own_source() -> Source:
    """The source of the release that this machine itself runs."""
    files = [APT_FOLDER / "sources.list", *sorted((APT_FOLDER / "sources.list.d").glob("*"))]
    found: list[Source] = []
    for file in files:
        if not file.is_file():
            continue
        if file.suffix == ".sources":
            found += parse_deb822(file.read_text())
        elif file.suffix == ".list":
            found += parse_one_line(file.read_text())
    return choose(found, _codename(Path("/etc/os-release").read_text()))


def _codename(os_release: str) -> str:
    match = re.search(r'^VERSION_CODENAME="?([a-z]+)"?$', os_release, re.MULTILINE)
    if match is None:
        raise NoSourceError("/etc/os-release names no VERSION_CODENAME: this needs a Debian or Ubuntu release")
    return match[1]


def _stanzas(text: str) -> Iterator[Mapping[str, str]]:
    for block in re.split(r"\n\s*\n", text):
        fields: dict[str, str] = {}
        name = ""
        for line in block.splitlines():
            if line.startswith("#"):
                continue
            if line[:1] in {" ", "\t"} and name:
                fields[name] += " " + line.strip()
            elif ":" in line:
                name, value = line.split(":", 1)
                name = name.strip().lower()
                fields[name] = value.strip()
        if fields:
            yield fields


def _keyring(signed_by: str) -> str | None:
    # A key may also stand inline, which debootstrap cannot take; its own default keyring then has to do.
    return signed_by if signed_by.startswith("/") and " " not in signed_by else None
