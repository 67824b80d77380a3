"""Letting go of a worker that nobody reaches any more."""

from tests.operator import Operator


def test_a_worker_of_the_fleet_is_neither_forgotten_nor_is_one_that_nobody_knows(operator: Operator) -> None:
    operator.run("apply")
    ran = operator.run("worker", "forget", "local-1", "--yes", expect=1)
    assert "take it out there first" in ran.stderr
    assert "known here" in operator.run("worker", "forget", "edge", "--yes", expect=1).stderr
    assert "there is no worker `edge`" in operator.run("worker", "cordon", "edge", "--reason", "x", expect=1).stderr


def test_a_worker_that_left_is_forgotten_when_somebody_says_so(operator: Operator) -> None:
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDRqpX2nJ8oWkBKmZQ1L8D0Ck7W4o3y2UuJbqv0mAOtN"
    path = operator.folder / "fleets/local.yaml"
    before = path.read_text()
    path.write_text(before + f'  far:\n    workers: {{away-1: {{address: 127.0.0.1, port: 1, host_key: "{key}"}}}}\n')
    operator.commit("A worker that nobody reaches")
    operator.run("apply", expect=4)
    path.write_text(before)
    operator.commit("Without it again")
    operator.run("apply", expect=4)
    assert "away-1 (leaving)" in operator.run("worker", "list").stdout
    assert "add --yes" in operator.run("worker", "forget", "away-1", expect=64).stderr
    assert "away-1: forgotten" in operator.run("worker", "forget", "away-1", "--yes").stdout
    head = operator.git("rev-parse", "rendered/local")
    operator.run("apply")
    assert operator.git("rev-parse", "rendered/local") == head
    assert [one["name"] for one in operator.run("worker", "list", "--json").json] == ["local-1"]
