from pathlib import Path

import pytest

from gitopsd.repo.errors import RepositoryError
from gitopsd.repo.location import looks_like_url, parse_url, path_identity


@pytest.mark.parametrize(
    "spellings",
    [
        [
            "git@GitHub.com:acme/fleet.git",
            "ssh://git@github.com/acme/fleet",
            "ssh://git@github.com:22//acme/fleet.git/",
        ],
        ["https://user:secret@Example.org:443/acme/fleet.git", "https://example.org/acme/fleet/"],
        ["alice@host:fleet", "ssh://alice@host/~/fleet.git"],
        ["host:/srv/fleet.git", "ssh://host/srv/fleet"],
        ["https://example.org/a%20b", "https://example.org/a%20b.git"],
    ],
)
def test_spellings_of_one_repository_have_one_identity(spellings: list[str]) -> None:
    assert len({parse_url(spelling).canonical for spelling in spellings}) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("alice@host:fleet", "bob@host:fleet"),
        ("alice@host:fleet", "alice@host:/fleet"),
        ("https://example.org/fleet", "https://example.org:8443/fleet"),
        ("https://example.org/Fleet", "https://example.org/fleet"),
        ("https://example.org/fleet", "ssh://git@example.org/fleet"),
    ],
)
def test_different_repositories_have_different_identities(one: str, other: str) -> None:
    assert parse_url(one).canonical != parse_url(other).canonical


@pytest.mark.parametrize(
    "location",
    [
        "ext::sh", "ext::sh -c id", "fd::17", "git://host/x", "http://example.org/x", "ftp://host/x",
        "ssh://-oProxyCommand=id/x", "-oProxyCommand=id:x", "https:///x", "https://host/", "https://host/a/../b",
        "https://host/x?y=1", "https://host/x#y", "ssh://host/x\ny", "file://elsewhere/x", "ssh://me:secret@host/x",
        "https://host:99999/x",
    ],
)  # fmt: skip
def test_urls_that_could_do_harm_or_name_nothing_are_refused(location: str) -> None:
    with pytest.raises(RepositoryError) as raised:
        parse_url(location)
    assert "secret" not in raised.value.message


def test_plain_http_is_allowed_to_this_machine_only() -> None:
    assert parse_url("http://127.0.0.1:3000/acme/fleet").canonical == "http://127.0.0.1:3000/acme/fleet"


def test_credentials_stay_out_of_everything_that_is_printed_or_stored() -> None:
    url = parse_url("https://user:secret@example.org/fleet.git")
    assert "secret" not in f"{url} {url!r} {url.public}"
    assert url.public == "https://example.org/fleet.git"
    assert "secret" in url.secret


@pytest.mark.parametrize(
    ("location", "is_url"),
    [("host:path", True), ("./host:path", False), ("/srv/a:b", False), ("fleet", False), ("file:///x", True)],
)
def test_paths_and_urls_are_told_apart_as_git_does(location: str, is_url: bool) -> None:
    assert looks_like_url(location) is is_url


def test_a_path_and_its_file_url_are_one(tmp_path: Path) -> None:
    (tmp_path / "fleet.git").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "fleet.git")
    same = {path_identity(tmp_path / name) for name in ("fleet.git", "fleet", "link", "./fleet.git/")}
    assert same == {parse_url(f"file://{tmp_path}/fleet.git").canonical}


def test_a_clone_beside_a_bare_repository_of_the_same_name_is_another(tmp_path: Path) -> None:
    (tmp_path / "fleet.git").mkdir()
    (tmp_path / "fleet").mkdir()
    assert path_identity(tmp_path / "fleet") != path_identity(tmp_path / "fleet.git")
