import copy
import json
import pickle

import msgspec
import pytest

from gitopsd.agent.credentials import _fingerprint
from gitopsd.model.secret import SecretValue

SECRET = SecretValue(b"hunter2")


def test_it_prints_nothing_of_itself() -> None:
    assert f"{SECRET} {SECRET!r} {SECRET!s:>20} {[SECRET]} {vars if False else SECRET:x}".count("hunter2") == 0
    assert str(SECRET) == repr(SECRET) == "<secret>"


@pytest.mark.parametrize(
    "serialise", [json.dumps, msgspec.json.encode, msgspec.to_builtins, pickle.dumps, copy.deepcopy]
)
def test_it_is_not_serialised(serialise: object) -> None:
    with pytest.raises(TypeError) as refused:
        serialise(SECRET)  # type: ignore[operator]
    assert "hunter2" not in str(refused.value)


def test_it_is_compared_by_value_and_never_a_key() -> None:
    assert SecretValue(b"hunter2") == SECRET
    assert SecretValue(b"hunter3") != SECRET
    assert SECRET != b"hunter2"
    with pytest.raises(TypeError):
        hash(SECRET)


def test_the_controller_and_the_agent_make_the_same_fingerprints() -> None:
    key = bytes(range(32))
    made = SECRET.fingerprint(key, "orders.a.0", "token")
    assert made == _fingerprint(key, "orders.a.0", "token", b"hunter2")
    others = [(bytes(32), "orders.a.0", "token"), (key, "orders.b.0", "token"), (key, "orders.a.0", "other")]
    assert made not in [SECRET.fingerprint(*other) for other in others]
