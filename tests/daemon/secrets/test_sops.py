"""Files that the real `sops` encrypted, as it left them and as somebody changed them."""

import os
import re
import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pyrage
import pytest

from gitopsd.daemon.secrets.errors import SecretError
from gitopsd.daemon.secrets.sops import decrypt

SOPS = Path(sysconfig.get_path("scripts")) / "sops"
PLAIN = """\
# of the whole file
nats: "hunter2 ü"
deep:
  # of one value
  port: 8080
  ratio: 1.5
  big: 1e20
  flag: true
  nothing: null
  list:
    - a
    - {x: y}
    - [1, 2.0]
  text: |
    line 1
    line 2
left_unencrypted: 1.50
more_unencrypted: [true, 7, text, 1e3, 0.0000001]
empty: ""
date: 2020-01-01
binary: !!binary aGVsbG8=
"""


class Encrypt(Protocol):
    def __call__(self, text: str = PLAIN, *, name: str = "plain.yaml", rules: str = "", to: str = "") -> str: ...


@pytest.fixture
def identity() -> pyrage.x25519.Identity:
    return pyrage.x25519.Identity.generate()


@pytest.fixture
def encrypt(identity: pyrage.x25519.Identity, tmp_path: Path) -> Encrypt:
    def run(text: str = PLAIN, *, name: str = "plain.yaml", rules: str = "", to: str = "") -> str:
        (tmp_path / name).write_text(text)
        recipients = ",".join(filter(None, (to, str(identity.to_public()))))
        (tmp_path / ".sops.yaml").write_text(f"creation_rules:\n  - age: {recipients}\n{rules}")
        command = [str(SOPS), "--config", str(tmp_path / ".sops.yaml"), "encrypt", name]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=30)
        return done.stdout

    return run


def values(content: str, *identities: pyrage.x25519.Identity) -> dict[str, list[bytes]]:
    found: dict[str, list[bytes]] = {}
    for leaf in decrypt("s.yaml", content.encode(), list(identities)):
        found.setdefault(".".join(leaf.way), []).append(leaf.value)
    return found


@pytest.mark.parametrize(
    "rules",
    ["", "    mac_only_encrypted: true\n", "    encrypted_regex: ^(nats|text)$\n", "    unencrypted_regex: ^deep$\n"],
)
def test_what_sops_encrypted_is_read_back(encrypt: Encrypt, identity: pyrage.x25519.Identity, rules: str) -> None:
    found = values(encrypt(rules=rules), identity)
    assert found["nats"] == ["hunter2 ü".encode()]
    assert found["deep.port"] == [b"8080"]
    assert found["deep.text"] == [b"line 1\nline 2\n"]
    assert found["deep.list"] == [b"a", b"1", b"2"]
    assert found["deep.list.x"] == [b"y"]


def test_json_and_several_recipients(encrypt: Encrypt, identity: pyrage.x25519.Identity) -> None:
    other = pyrage.x25519.Identity.generate()
    content = encrypt('{"a": "s", "b": {"c": [1, 2.5, true]}}', name="plain.json", to=str(other.to_public()))
    for one in (identity, other):
        assert values(content, one) == {"a": [b"s"], "b.c": [b"1", b"2.5", b"True"]}


def test_comments_in_lists_are_not_a_part_of_the_mac(encrypt: Encrypt, identity: pyrage.x25519.Identity) -> None:
    assert values(encrypt("list:\n  # why\n  - a\n"), identity) == {"list": [b" why", b"a"]}


ENCRYPTED = r"ENC\[[^]]*\]"
CHANGES: dict[str, Callable[[str], str]] = {
    "removed": lambda text: re.sub(rf"^nats: {ENCRYPTED}\n", "", text, flags=re.MULTILINE),
    "plain value changed": lambda text: text.replace("left_unencrypted: 1.5", "left_unencrypted: 2.5"),
    "plain value added": lambda text: "added_unencrypted: 1\n" + text,
    "encrypted value replaced by a plain one": lambda text: re.sub(rf"^nats: {ENCRYPTED}", "nats: evil", text),
    "moved": lambda text: text.replace("nats: ", "other: ", 1),
    "order": lambda text: re.sub(r"(    port: .*\n)(    ratio: .*\n)", r"\2\1", text),
    "type": lambda text: text.replace("type:int]", "type:comment]", 1),
    "bits": lambda text: re.sub(
        r"(nats: ENC\[AES256_GCM,data:)(.)", lambda m: m[1] + ("A" if m[2] != "A" else "B"), text
    ),
    "date": lambda text: re.sub(r'lastmodified: "20', 'lastmodified: "21', text),
    "without mac": lambda text: re.sub(rf"    mac: {ENCRYPTED}\n", "", text),
    "only encrypted values": lambda text: text.replace(
        "    lastmodified", "    mac_only_encrypted: true\n    lastmodified"
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_was_changed_is_refused(encrypt: Encrypt, identity: pyrage.x25519.Identity, change: str) -> None:
    before = encrypt(PLAIN.removeprefix("# of the whole file\n"))
    after = CHANGES[change](before)
    assert after != before
    with pytest.raises(SecretError, match=r"was changed after it was encrypted|has no MAC") as refused:
        values(after, identity)
    assert "hunter2" not in refused.value.message
    assert refused.value.__cause__ is None


def test_it_says_what_it_takes_to_read_a_file(encrypt: Encrypt) -> None:
    content = encrypt()
    with pytest.raises(SecretError, match=r"needs an identity of age: put it into .*keys.txt"):
        values(content)
    with pytest.raises(SecretError, match="encrypted for none of the identities"):
        values(content, pyrage.x25519.Identity.generate())


@pytest.mark.parametrize("content", ["", "a: b\n", "[]\n", "a: [\n", "sops: 1\n", "x" * (4 << 20) + "y"])
def test_what_is_no_file_of_sops_is_named(content: str) -> None:
    with pytest.raises(SecretError, match="is not a YAML or JSON file encrypted with SOPS"):
        values(content)


@pytest.mark.parametrize(
    "metadata", ["{}", "{age: []}", "{age: [1]}", "{age: [{enc: x}]}", "{key_groups: [1], age: [1]}"]
)
def test_other_ways_to_encrypt_the_key_are_refused(metadata: str, identity: pyrage.x25519.Identity) -> None:
    with pytest.raises(SecretError, match="encrypted for"):
        values(f"a: b\nsops: {metadata}\n", identity)


def test_the_tool_itself_is_there() -> None:
    assert os.access(SOPS, os.X_OK)
