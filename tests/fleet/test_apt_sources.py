import pytest

from tests.fleet.apt_sources import NoSourceError, Source, choose, parse_deb822, parse_one_line

MIRROR = "http://mirror.invalid/debian"


def test_a_sources_file_gives_one_source_for_each_suite() -> None:
    text = f"""\
Types: deb
# http://snapshot.invalid/archive
URIs: {MIRROR}
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian.gpg

Types: deb-src
URIs: {MIRROR}
Suites: bookworm
Components: main
"""
    keyring = "/usr/share/keyrings/debian.gpg"

    assert list(parse_deb822(text)) == [
        Source(uri=MIRROR, suite="bookworm", components=("main",), keyring=keyring),
        Source(uri=MIRROR, suite="bookworm-updates", components=("main",), keyring=keyring),
    ]


def test_a_key_that_stands_inline_is_not_taken_for_a_file() -> None:
    text = f"Types: deb\nURIs: {MIRROR}\nSuites: sid\nComponents: main\nSigned-By:\n -----BEGIN KEY-----\n /abc=\n"

    assert [source.keyring for source in parse_deb822(text)] == [None]


def test_a_disabled_source_is_left_out() -> None:
    text = f"Enabled: no\nTypes: deb\nURIs: {MIRROR}\nSuites: sid\nComponents: main\n"

    assert list(parse_deb822(text)) == []


def test_a_classic_line_is_read_with_its_options() -> None:
    text = f"""\
# deb {MIRROR} commented main
deb-src {MIRROR} bookworm main
deb [arch=amd64 signed-by=/keys/a.gpg] {MIRROR} bookworm main contrib # a remark
"""

    assert list(parse_one_line(text)) == [
        Source(uri=MIRROR, suite="bookworm", components=("main", "contrib"), keyring="/keys/a.gpg")
    ]


def test_the_release_itself_is_chosen_and_not_what_lies_beside_it() -> None:
    sources = [
        Source(uri="https://vendor.invalid", suite="nodistro", components=("main",), keyring=None),
        Source(uri=MIRROR, suite="bookworm-updates", components=("main",), keyring=None),
        Source(uri=MIRROR, suite="bookworm", components=("main",), keyring=None),
    ]

    assert choose(sources, "bookworm") == sources[2]


def test_a_release_without_source_is_said() -> None:
    with pytest.raises(NoSourceError, match="no apt source offers suite 'bookworm'"):
        choose([], "bookworm")
