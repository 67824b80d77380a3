"""Several environments in one repository."""

from tests.operator import Operator


def test_check_looks_at_every_environment_unless_one_is_named(operator: Operator) -> None:
    text = (operator.folder / "gitopsd.yaml").read_text()
    operator.write({"gitopsd.yaml": text + "  other:\n    fleet: fleets/other.yaml\n    params: {roundtrp: {}}\n"})
    operator.write({"fleets/other.yaml": "groups:\n  elsewhere: {}\n"})
    everything = operator.run("check", expect=1)
    assert "there is no workflow `roundtrp`" in everything.stderr
    named = operator.run("--env", "local", "check")
    assert "no errors" in named.stdout
    params = "    params: {roundtrip: {data: /srv/data}}\n"
    operator.write({"gitopsd.yaml": f"{text}  other:\n    fleet: fleets/other.yaml\n{params}"})
    assert "there is no worker group `local` in fleets/other.yaml" in operator.run("check", expect=1).stderr
