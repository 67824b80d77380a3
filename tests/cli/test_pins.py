"""A pinned environment at the command line."""

from tests.operator import Operator


def _pin(operator: Operator, pin: str) -> None:
    path = operator.folder / "gitopsd.yaml"
    lines = [line for line in path.read_text().splitlines() if not line.startswith("    pin:")]
    position = next(index for index, line in enumerate(lines) if line.strip().startswith("fleet:"))
    lines.insert(position, f"    pin: {pin}")
    path.write_text("\n".join(lines) + "\n")


def test_plan_check_and_workers_follow_the_pin(operator: Operator) -> None:
    operator.git("tag", "v1")
    tagged = operator.git("rev-parse", "v1")
    operator.write({"workflows/roundtrip.yaml": "workflow: ["})
    _pin(operator, "v1")
    operator.commit("Pin v1, and break the workflow")
    assert f"pinned to {tagged[:12]}" in operator.run("plan").stdout
    assert f"pinned to `{tagged[:12]}`" in operator.run("plan", "--format", "markdown").stdout
    assert operator.run("plan", "--json").json["inputs"]["pinned"] == tagged
    broken = operator.run("check", expect=1)
    assert "workflows/roundtrip.yaml" in broken.stderr, "what the pin would be moved to is checked too"
    fleet = next((operator.folder / "fleets").glob("*.yaml"))
    fleet.write_text(fleet.read_text().replace("local-1", "local-9"))
    assert [one["name"] for one in operator.run("worker", "list", "--json").json] == ["local-9"]


def test_a_pin_that_names_nothing_is_said_with_its_place(operator: Operator) -> None:
    _pin(operator, "v9")
    for command in ("check", "plan"):
        ran = operator.run(command, expect=1)
        assert "error[unknown-pin]" in ran.stderr
        assert "pin: v9" in ran.stderr
    _pin(operator, "main")
    assert "error[pin-is-a-branch]" in operator.run("check", expect=1).stderr
