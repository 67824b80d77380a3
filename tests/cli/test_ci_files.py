"""The CI files that `gitopsd init` makes: sound YAML, pinned, with few rights, and nothing of a pull request run."""

import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from gitopsd import __version__
from gitopsd.cli.comment import comment
from gitopsd.repo.initialise import initialise, template_folder

ACTIONS = (".github/workflows/gitopsd.yml", ".gitea/workflows/gitopsd.yml")
GITLAB = ".gitlab-ci.yml"


def _read(path: str) -> Any:
    yaml = YAML(typ="safe", pure=True)  # 1.2: `on` is a key, not true
    return yaml.load((template_folder() / path).read_text())


@pytest.mark.parametrize("path", ACTIONS)
def test_a_job_of_actions_is_pinned_and_has_few_rights(path: str) -> None:
    document = _read(path)
    assert set(document["on"]) == {"pull_request"}, "pull_request_target would give forks' jobs a token that may write"
    assert document["permissions"] == {"contents": "read", "pull-requests": "write", "statuses": "write"}
    (job,) = document["jobs"].values()
    assert job["timeout-minutes"] <= 10
    for step in job["steps"]:
        assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", step.get("uses", "actions/none@" + "0" * 40))
    checkout = next(step for step in job["steps"] if step.get("uses", "").startswith("actions/checkout@"))
    assert checkout["with"]["fetch-depth"] == 0
    install = next(step for step in job["steps"] if "pip install" in step.get("run", ""))
    assert install["run"] == f"pip install gitopsd=={__version__}"
    assert install["working-directory"] in {"/tmp", "${{ runner.temp }}"}
    assert "secrets." not in (template_folder() / path).read_text()


def test_the_job_of_gitlab_is_pinned_and_installs_outside_of_the_checkout() -> None:
    (job,) = _read(GITLAB).values()
    assert job["variables"]["GIT_DEPTH"] == "0"
    assert job["rules"] == [{"if": '$CI_PIPELINE_SOURCE == "merge_request_event"'}]
    assert job["script"][:3] == ["cd /tmp", f"pip install gitopsd=={__version__}", 'cd "$CI_PROJECT_DIR"']


@pytest.mark.parametrize("path", [*ACTIONS, GITLAB])
def test_every_option_that_a_job_gives_is_one_of_the_command(path: str) -> None:
    known = {option for parameter in comment.params for option in parameter.opts}
    text = (template_folder() / path).read_text()
    given = {
        word for line in re.findall(r"gitopsd comment([^;\n]*)", text) for word in line.split() if word[:2] == "--"
    }
    assert given <= known
    assert "gitopsd comment" in text


def test_a_new_repository_has_them_committed(tmp_path: Path) -> None:
    repository = initialise(tmp_path / "new")
    for path in (*ACTIONS, GITLAB):
        assert (tmp_path / "new" / path).read_bytes() == (template_folder() / path).read_bytes()
        assert path in repository.git.index
