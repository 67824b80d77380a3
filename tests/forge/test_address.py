import pytest

from gitopsd.forge.address import api_address, is_repository, repository_path
from gitopsd.forge.forge import ForgeKind


@pytest.mark.parametrize(
    ("kind", "url", "api"),
    [
        ("github", "", "https://api.github.com"),
        ("github", "https://github.com/", "https://api.github.com"),
        ("github", "https://acme.ghe.com", "https://api.acme.ghe.com"),
        ("github", "https://git.example.com", "https://git.example.com/api/v3"),
        ("gitlab", "", "https://gitlab.com/api/v4"),
        ("gitlab", "https://example.com/gitlab/", "https://example.com/gitlab/api/v4"),
        ("gitea", "https://git.example.com:3000", "https://git.example.com:3000/api/v1"),
        ("forgejo", "https://codeberg.org", "https://codeberg.org/api/v1"),
        ("gitea", "http://127.0.0.1:3000", "http://127.0.0.1:3000/api/v1"),
        ("gitea", "http://localhost:3000", "http://localhost:3000/api/v1"),
        ("gitea", "http://[::1]:3000", "http://[::1]:3000/api/v1"),
    ],
)
def test_the_api_is_where_the_front_page_says(kind: ForgeKind, url: str, api: str) -> None:
    assert api_address(kind, url) == api


@pytest.mark.parametrize(
    ("kind", "url", "why"),
    [
        ("gitea", "", "missing"),
        ("forgejo", "", "missing"),
        ("github", "http://github.com", "https"),
        ("gitea", "http://127.0.0.1.example.com", "https"),
        ("gitea", "http://10.0.0.1", "https"),
        ("gitea", "git.example.com", "not one of the web"),
        ("gitea", "ftp://git.example.com", "not one of the web"),
        ("gitea", "file:///etc/passwd", "not one of the web"),
        ("gitea", "https://git.example.com/?a=b", "not one of the web"),
        ("gitea", "https://git.exa\nmple.com", "not one of the web"),
        ("gitea", "https://somebody:password@git.example.com", "password"),
        ("github", "https://api.github.com@evil.example", "password"),
        ("gitea", "https://[::1", "not one of the web"),
        ("gitea", "https://git.example.com:port", "not one of the web"),
    ],
)
def test_an_address_that_is_none_is_refused(kind: ForgeKind, url: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        api_address(kind, url)


@pytest.mark.parametrize(
    ("kind", "name", "good"),
    [
        ("github", "acme/fleet", True),
        ("github", "acme/.github", True),
        ("github", "acme/fleet.git-2_x", True),
        ("github", "acme", False),
        ("github", "acme/a/b", False),
        ("github", "acme/..", False),
        ("gitea", "../fleet", False),
        ("gitea", "acme/./x", False),
        ("gitea", "acme/fleet?x", False),
        ("gitea", "acme/fleet#x", False),
        ("gitea", "acme/fl%2e", False),
        ("gitea", "/acme/fleet", False),
        ("gitlab", "acme/team/fleet", True),
        ("gitlab", "acme", False),
        ("gitlab", "acme//fleet", False),
    ],
)
def test_a_repository_is_named_by_its_path(kind: ForgeKind, name: str, good: bool) -> None:
    assert is_repository(kind, name) == good
    if not good:
        with pytest.raises(ValueError, match="must be given as"):
            repository_path(kind, name)


def test_gitlab_has_a_path_in_one_piece() -> None:
    assert repository_path("gitlab", "acme/team/fleet") == "/projects/acme%2Fteam%2Ffleet"
