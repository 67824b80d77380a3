"""The operator's configuration: what it may say, and what of it is published."""

import os
from pathlib import Path

import pytest

from gitopsd.daemon.configuration.configuration import Configuration, read_configuration, secret_variables
from gitopsd.daemon.configuration.policy import policy_file, published_policy
from gitopsd.daemon.errors import DiagnosticsError
from gitopsd.model.policy import PolicyRecord, SecretPolicy

FORGE = "forge:\n  kind: github\n  repository: acme/fleet\n  token: {credential: forge_token}\n"
SECRET_OF_FORGE = "  webhook_secret: {credential: webhook_secret}\n"  # noqa: S105


def read(folder: Path, text: str) -> Configuration:
    path = folder / "config.yaml"
    path.write_text(text)
    return read_configuration(path)


def mistakes(folder: Path, text: str) -> list[tuple[str, int, int]]:
    """Code, line and column of each."""
    with pytest.raises(DiagnosticsError) as refusal:
        read(folder, text)
    assert list(refusal.value.sources) == [str(folder / "config.yaml")]
    return [(one.code, one.location.line, one.location.column) for one in refusal.value.diagnostics]


def published(folder: Path, text: str) -> PolicyRecord:
    record = published_policy(read(folder, text))
    assert record is not None
    return record


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("policy: {edition: comunity}", [("wrong-value", 1, 19)]),
        ("policy: {max_jobs: -1}", [("wrong-value", 1, 20)]),
        ("policy: {max_delete: 120%}", [("wrong-value", 1, 22)]),
        ("policy: {max_delete: 20}", [("wrong-type", 1, 22)]),
        ("policy: {max_delete: '-5%'}", [("wrong-value", 1, 22)]),
        ("policy:\n  addresses: [10.0.0.0/8, 10.0.0.1/8]", [("wrong-value", 2, 27)]),
        ("policy: {addresses: [nowhere, '']}", [("wrong-value", 1, 22), ("wrong-value", 1, 31)]),
        ("policy: {users: [Root]}", [("bad-name", 1, 18)]),
        ("policy: {groups: [a b]}", [("bad-name", 1, 19)]),
        ("policy: {unit_settings: [MemoryMx, User]}", [("wrong-value", 1, 26), ("wrong-value", 1, 36)]),
        ("policy:\n  windows:\n    - {kind: deny, schedule: 0 8 * * 1-8, duration: 10h}", [("wrong-value", 3, 30)]),
        ("policy:\n  windows:\n    - {kind: deny, schedule: 0 8 * *, duration: 10h}", [("wrong-value", 3, 30)]),
        ("policy:\n  windows:\n    - {kind: deny, schedule: 0 0 30 2 *, duration: 10h}", [("wrong-value", 3, 30)]),
        ("policy:\n  windows:\n    - {kind: deny, schedule: 0 8 * * *, duration: 1s}", [("wrong-value", 3, 51)]),
        ("policy:\n  windows:\n    - {kind: deny, schedule: 0 8 * * *, duration: ten}", [("wrong-value", 3, 51)]),
        (
            "policy:\n  windows:\n  - kind: deny\n    schedule: 0 8 * * *\n    duration: 1h\n    time_zone: Berlin",
            [("wrong-value", 6, 16)],
        ),
        (
            "policy:\n  windows: [{kind: deny, time_zone: ../x, schedule: 0 8 * * *, duration: 1h}]",
            [("wrong-value", 2, 37)],
        ),
        (
            "policy:\n  windows: [{kind: deny, time_zone: Europe, schedule: 0 8 * * *, duration: 1h}]",
            [("wrong-value", 2, 37)],
        ),
        ("policy: {windows: [{kind: block, schedule: 0 8 * * *, duration: 1h}]}", [("wrong-value", 1, 27)]),
        ("policy: {upgrades: never}", [("wrong-value", 1, 20)]),
        ("policy: {max_job: 3}", [("unknown-key", 1, 10)]),
        ("secrets: {token: {}}", [("missing-key", 1, 11)]),
        ("secrets: {token: {env: A, file: /b}}", [("conflicting-keys", 1, 27)]),
        ("secrets: {token: {sops: a.yaml}}", [("missing-key", 1, 19)]),
        ("secrets: {token: {env: A, key: b}}", [("conflicting-keys", 1, 27)]),
        ("secrets: {token: {env: A-B}}", [("wrong-value", 1, 24)]),
        ("secrets: {token: {file: relative}}", [("wrong-value", 1, 25)]),
        ("secrets: {token: {sops: ../a.yaml, key: b}}", [("wrong-value", 1, 25)]),
        ("secrets: {Token: {env: A}}", [("bad-name", 1, 11)]),
        ("secrets: {token: {credential: A/b}}", [("bad-name", 1, 31)]),
        ("secrets: {token: {env: A, credential: b}}", [("conflicting-keys", 1, 27)]),
        ("ssh: {identity: {credential: a, file: b}}", [("unknown-key", 1, 33)]),
        ("listen: {metrics: 9464}", [("wrong-type", 1, 19)]),
        ("listen: {metrics: localhost}", [("wrong-value", 1, 19)]),
        ("listen: {metrics: 'localhost:70000'}", [("wrong-value", 1, 19)]),
        ("notify:\n- on: [failed]", [("missing-key", 2, 3)]),
        ("notify: [{url: {}}]", [("missing-key", 1, 11)]),
        ("notify: [{url: {env: A, credential: b}}]", [("conflicting-keys", 1, 25)]),
        ("notify: [{url: {env: A}, on: [faild]}]", [("wrong-value", 1, 31)]),
        ("notify: [{url: {env: A}, template: 'a ${{ txt }}'}]", [("bad-expression", 1, 43)]),
        ("notify: [{url: {env: A}, template: {a: [1, '${{ text']}}]", [("bad-expression", 1, 45)]),
        ("listen: {webhook: '127.0.0.1'}\n" + FORGE + SECRET_OF_FORGE, [("wrong-value", 1, 19)]),
        ("listen: {webhook: '127.0.0.1:9465'}\n" + FORGE, [("missing-key", 1, 10)]),
        ("listen: {webhook: '127.0.0.1:9465'}", [("missing-key", 1, 10)]),
        ("forge: {kind: github}", [("missing-key", 1, 1), ("missing-key", 1, 1)]),
        (FORGE.replace("github", "gitbucket"), [("wrong-value", 2, 9)]),
        (FORGE.replace("acme/fleet", "acme"), [("wrong-value", 3, 15)]),
        (FORGE.replace("{credential: forge_token}", "{}"), [("missing-key", 4, 3)]),
        ("policy: {require_reviewed_plan: [production]}", [("missing-key", 1, 10)]),
        ("policy: {require_approval: true}", [("missing-key", 1, 10)]),
        ("policy: {rollback: pull-request}", [("missing-key", 1, 10)]),
        (FORGE.replace("}", ", file: /token}"), [("conflicting-keys", 4, 11)]),
        (FORGE.replace("github", "gitea"), [("wrong-value", 1, 1)]),
        (FORGE + "  url: http://git.example.com\n", [("wrong-value", 5, 8)]),
        (FORGE + "  forks: allow\n", [("wrong-value", 5, 10)]),
        (FORGE + "  webhook_secret: {env: not-a-variable}\n", [("wrong-value", 5, 25)]),
    ],
)  # fmt: skip
def test_a_mistake_is_shown_with_its_place(tmp_path: Path, text: str, expected: list[tuple[str, int, int]]) -> None:
    assert mistakes(tmp_path, text) == expected


def test_all_mistakes_come_at_once(tmp_path: Path) -> None:
    found = mistakes(tmp_path, "secrets: {a: {}, b: {env: A, file: /b}}\npolicy: {max_delete: all}\n")
    assert [line for _, line, _ in found] == [1, 1, 2]


def test_a_value_that_was_written_in_place_of_a_variable_is_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(DiagnosticsError) as refusal:
        read(tmp_path, "secrets: {token: {env: hunter2-hunter2}}")
    assert "hunter2" not in str([(one.message, one.hint) for one in refusal.value.diagnostics])


@pytest.mark.parametrize(
    "text",
    [
        "notify: [{url: https://hooks.example/hunter2, on: [failed]}]",
        "notify:\n- url: https://hooks.example/hunter2\n",
        "notify:\n  - url: {address: https://hooks.example/hunter2}\n",
        "notify:\n  - url: {env: https://hooks.example/hunter2}\n",
        "notify:\n  - url: {file: hooks.example/hunter2}\n",
        FORGE.replace("{credential: forge_token}", "hunter2"),
        FORGE.replace("{credential: forge_token}", "{credential: hunter2-}"),
        FORGE.replace("token: {credential: forge_token}", "tokn: hunter2"),
        FORGE + "  webhook_secret: {env: hunter2-hunter2}\n",
        FORGE + "  url: https://somebody:hunter2@git.example.com\n",
        "forge: {kind: github, repository: hunter2, token: hunter2}",
    ],
)
def test_a_secret_that_was_written_in_place_of_its_source_is_not_repeated(tmp_path: Path, text: str) -> None:
    with pytest.raises(DiagnosticsError) as refusal:
        read(tmp_path, text)
    shown = [(one.message, one.hint) for one in refusal.value.diagnostics], refusal.value.sources
    assert "hunter2" not in str(shown)


@pytest.mark.parametrize("address", ["''", "127.0.0.1:9464", "'[::1]:9464'", "monitoring.internal:1"])
def test_an_address_to_listen_on_has_host_and_port(tmp_path: Path, address: str) -> None:
    assert read(tmp_path, f"listen: {{metrics: {address}}}").listen.metrics == address.strip("'")


def test_what_is_wrong_with_a_forge_is_shown_and_its_secrets_are_not(tmp_path: Path) -> None:
    with pytest.raises(DiagnosticsError) as refusal:
        read(tmp_path, FORGE.replace("acme/fleet", "acme") + "  url: http://git.example.com\n")
    one, two = refusal.value.diagnostics
    assert (one.message, two.message) == ("`acme` is not a repository", "the forge must be reached by https")
    assert "front page" in two.hint
    shown = next(iter(refusal.value.sources.values())).decode()
    assert "repository: acme\n" in shown
    assert "token: …" in shown


def test_the_variables_with_the_forges_secrets_are_known(tmp_path: Path) -> None:
    text = FORGE.replace("credential: forge_token", "env: TOKEN") + "  webhook_secret: {env: SIGNATURE}\n"
    assert secret_variables(read(tmp_path, text)) == {"TOKEN", "SIGNATURE"}


@pytest.mark.parametrize("text", ["", "ssh: {jump: bastion}", FORGE])
def test_nothing_is_published_of_a_configuration_without_policy_and_secrets(tmp_path: Path, text: str) -> None:
    assert published_policy(read(tmp_path, text)) is None


def test_an_empty_policy_lifts_every_limit(tmp_path: Path) -> None:
    assert published(tmp_path, "policy: {}") == PolicyRecord()


def test_limits_are_published_in_one_order(tmp_path: Path) -> None:
    one = published(
        tmp_path, "policy: {groups: [b, a, b], users: [x, gitopsd-job], addresses: [10.0.0.0/8], max_delete: 5%}"
    )
    other = published(tmp_path, "policy: {max_delete: 5%, addresses: [10.0.0.0/8], users: [x], groups: [a, b]}")
    assert one == other
    assert one.users == ("gitopsd-job", "x")
    assert one.max_delete == 5
    assert policy_file(one) == policy_file(other)
    assert policy_file(one).endswith(b"\n")


def test_of_secrets_only_names_and_who_may_use_them_are_published(tmp_path: Path) -> None:
    record = published(
        tmp_path, "secrets: {token: {file: /etc/very/private, workflows: [orders]}, other: {env: PRIVATE_NAME}}"
    )
    assert record.secrets == {"token": SecretPolicy(workflows=("orders",)), "other": SecretPolicy()}
    assert b"private" not in policy_file(record).lower()


@pytest.mark.parametrize(("limit", "jobs"), [("", 15), (", max_jobs: 20", 15), (", max_jobs: 3", 3)])
def test_a_key_narrows_an_edition_and_never_widens_it(tmp_path: Path, limit: str, jobs: int) -> None:
    record = published(tmp_path, f"policy: {{edition: community, entitlements: [sso]{limit}}}")
    assert record.max_jobs == jobs
    assert not record.external_workers
    assert record.entitlements == ()


@pytest.mark.parametrize(
    ("policy", "allowed"),
    [
        ("{}", True),
        ("{addresses: [10.0.0.0/8]}", False),
        ("{addresses: [10.0.0.0/8], local_workers: true}", True),
        ("{local_workers: false}", False),
        ("{edition: community, addresses: [10.0.0.0/8]}", True),
    ],
)
def test_who_says_where_workers_may_be_does_not_mean_the_machine_that_deploys(
    tmp_path: Path, policy: str, allowed: bool
) -> None:
    record = published(tmp_path, f"policy: {policy}")
    assert record is not None
    assert record.local_workers is allowed


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: becomes another account")
def test_one_that_others_must_not_read_is_not_passed_over_and_the_hint_says_who_cant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "config.yaml"
    monkeypatch.setattr("gitopsd.daemon.configuration.configuration.SYSTEM_PATH", path)
    tmp_path.chmod(0o700)
    os.seteuid(65534)
    try:
        with pytest.raises(DiagnosticsError) as raised:
            read_configuration(None)
    finally:
        os.seteuid(0)
    (mistake,) = raised.value.diagnostics
    assert mistake.message == "the configuration can't be read: Permission denied"
    assert "`nobody`" in mistake.hint
