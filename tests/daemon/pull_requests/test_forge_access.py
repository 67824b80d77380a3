from contextlib import closing
from pathlib import Path

import pytest

from gitopsd.daemon.configuration.configuration import ForgeConfiguration, ForgeSecret
from gitopsd.daemon.pull_requests.forge_access import open_forge
from gitopsd.forge.errors import ForgeUnavailableError
from tests.forge.standin import forge_standin


def test_the_token_is_read_where_it_is_at_every_request(tmp_path: Path) -> None:
    token = tmp_path / "token"
    with forge_standin("gitea", tmp_path / "forge") as standin:
        standin.commit("feature", {"a": "1"})
        standin.open("feature")
        configuration = ForgeConfiguration(
            kind="gitea", repository=standin.name, url=standin.url, token=ForgeSecret(file=str(token))
        )
        with closing(open_forge(configuration)) as forge:
            with pytest.raises(ForgeUnavailableError, match=r"the forge's token: .*token can't be read"):
                forge.open_pull_requests()
            token.write_bytes(standin.token().reveal() + b"\n")
            token.chmod(0o600)
            assert [one.number for one in forge.open_pull_requests()] == [1]
