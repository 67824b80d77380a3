"""Whatever the artifact branch says of workers, the operator's settings say where they may be."""

import pytest

from gitopsd.fleet.connect import Workers
from gitopsd.fleet.errors import WorkerRefused
from gitopsd.fleet.target import SshSettings, Target

ALLOWED = ("10.0.0.0/8", "fd00::/8")


@pytest.mark.parametrize("address", ["10.1.2.3", "fd00::7"])
def test_a_worker_in_an_allowed_network_can_be_reached(address: str) -> None:
    with Workers(SshSettings(addresses=ALLOWED)) as workers:
        assert workers.connect(Target(name="edge-1", address=address)).target.address == address


@pytest.mark.parametrize("address", ["11.1.2.3", "fe80::7", "edge-1.internal", "10.1.2.3.evil.example", ""])
def test_any_other_is_refused_before_anything_is_sent(address: str) -> None:
    with Workers(SshSettings(addresses=ALLOWED)) as workers:
        for connect in (workers.connect, workers.connect_anew):
            with pytest.raises(WorkerRefused, match="Nothing was sent") as refused:
                connect(Target(name="edge-1", address=address))
            assert refused.value.code == "policy"


def test_this_machine_is_a_worker_only_where_the_operator_says_so() -> None:
    local = Target(name="local-1", connection="local", service_manager="supervisor")
    with Workers(SshSettings()) as workers:
        assert workers.connect(local).target == local
    with Workers(SshSettings(local_workers=False)) as workers, pytest.raises(WorkerRefused, match="this machine"):
        workers.connect(local)
