from gitopsd.compiler.checks.machines import without_live_machines
from gitopsd.model.artifacts import PlacedWorker


def _worker(name: str, address: str, host_key: str = "") -> PlacedWorker:
    return PlacedWorker(
        name=name, group="edge", connection="ssh", service_manager="systemd", address=address, host_key=host_key
    )


def test_a_machine_under_a_new_name_does_not_leave_under_the_old_one() -> None:
    before = {"edge-1": _worker("edge-1", "10.0.0.11"), "edge-2": _worker("edge-2", "10.0.0.12")}
    now = {"north-1": _worker("north-1", "10.0.0.11")}
    assert without_live_machines(before, now).keys() == {"edge-2"}


def test_another_address_with_the_same_host_key_is_the_same_machine() -> None:
    assert not _worker("edge-1", "10.0.0.11", "ssh-ed25519 A").is_another_machine(
        _worker("edge-1", "10.0.0.99", "ssh-ed25519 A")
    )
    assert _worker("edge-1", "10.0.0.11", "ssh-ed25519 A").is_another_machine(
        _worker("edge-1", "10.0.0.99", "ssh-ed25519 B")
    )
    assert _worker("edge-1", "10.0.0.11").is_another_machine(_worker("edge-1", "10.0.0.99"))
