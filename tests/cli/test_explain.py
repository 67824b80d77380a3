"""`gitopsd explain`: where values come from, and why a step runs where it does."""

import json

from tests.operator import Operator

FLEET = """\
groups:
  edge:
    workers:
      edge-1: {connection: local, service_manager: supervisor, labels: {region: eu}}
      edge-2: {address: 192.0.2.2, labels: {region: us}, host_key: KEY}
      edge-3: {address: 192.0.2.3, labels: {region: eu}, host_key: KEY, slots: 0}
  core:
    workers:
      core-1: {address: 192.0.2.4, host_key: KEY}
""".replace("KEY", '"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDRqpX2nJ8oWkBKmZQ1L8D0Ck7W4o3y2UuJbqv0mAOtN"')
FILES = {
    "gitopsd.yaml": """\
environments:
  production:
    fleet: fleets/production.yaml
    params: {orders: {inbox: /data/orders}}
""",
    "fleets/production.yaml": FLEET,
    "workflows/orders.yaml": """\
workflow: orders
params: {inbox: {type: string, default: /srv/in}}
steps:
  collect:
    use: std/read-files
    with: {glob: "${{ params.inbox }}/*.jsonl"}
    out: raw
    place: {group: edge, constraints: ["label.region == eu"]}
  store:
    use: modules/store
    in: raw
    with: {folder: "/srv/${{ worker.name }}"}
    place: {group: edge, constraints: ["label.region == eu"]}
channels: {raw: {transport: worker}}
""",
    "modules/store.yaml": """\
module: store
params: {folder: {type: string, default: /srv/out}}
in: {rows: rows}
steps: {write: {use: std/write-files, in: rows, with: {path: "${{ params.folder }}/orders"}}}
channels: {rows: {transport: worker}}
""",
}


def explained(operator: Operator, step: str) -> dict[str, object]:
    operator.git("rm", "-rq", "workflows", "fleets")
    operator.write(FILES)
    found: dict[str, object] = json.loads(operator.run("explain", step, "--json").stdout)
    return found


def test_every_layer_that_had_a_say_in_a_value_is_named(operator: Operator) -> None:
    found = explained(operator, "orders.store.write")
    values = {(value["owner"], value["name"]): value for value in found["values"]}  # type: ignore[attr-defined]
    inbox = values["workflow orders", "inbox"]
    assert inbox["value"] == "/data/orders"
    assert [candidate["layer"] for candidate in inbox["candidates"]] == ["environment", "default"]
    assert inbox["candidates"][0]["place"] == "gitopsd.yaml:4:30"
    folder = values["modules/store", "folder"]
    assert folder["differs"] is True
    assert [candidate["layer"] for candidate in folder["candidates"]] == ["with", "default"]
    assert values["std/write-files", "path"]["candidates"][0]["place"].startswith("modules/store.yaml:4:")
    assert found["used_by"] == ["workflows/orders.yaml:9:3"]


def test_each_worker_of_the_group_has_its_reason(operator: Operator) -> None:
    found = explained(operator, "orders.collect")
    workers = {worker["worker"]: worker for worker in found["workers"]}  # type: ignore[attr-defined]
    assert {name: worker["verdict"] for name, worker in workers.items()} == {
        "edge-1": "chosen",
        "edge-2": "refused",
        "edge-3": "refused",
    }
    assert "region" in workers["edge-2"]["reason"]
    assert "0 of 0 slots" in workers["edge-3"]["reason"]
    assert found["kept_with"] == ["store.write"]
    assert found["other_groups"] == 1


def test_people_read_it_as_text_and_a_misspelt_step_is_helped(operator: Operator) -> None:
    ran = operator.run("explain", "roundtrip.deliver")
    assert "roundtrip.deliver uses std/write-files" in ran.stdout
    assert "local-1" in ran.stdout
    assert "did you mean `deliver`?" in operator.run("explain", "roundtrip.delivr", expect=1).stderr
    assert "roundtrip" in operator.run("explain", "deliver", expect=1).stderr


def test_a_scheduled_step_says_when_it_runs(operator: Operator) -> None:
    explained(operator, "orders.collect")
    workflow = "workflow: nightly\nsteps: {tidy: {use: blueprints/tidy, place: {group: core}}}\n"
    tidy = "blueprint: tidy\njob: {kind: schedule, schedule: 'Mon..Fri 02:00', exec: [tidy]}\n"
    operator.write({"workflows/nightly.yaml": workflow, "blueprints/tidy.yaml": tidy})
    assert "Scheduled: Mon..Fri 02:00, by the clock of its worker" in operator.run("explain", "nightly.tidy").stdout
    found = json.loads(operator.run("explain", "nightly.tidy", "--json").stdout)
    assert found["schedules"] == {"nightly.tidy.0": "Mon..Fri 02:00"}
    assert "at Mon..Fri 02:00" in operator.run("graph", "nightly").stdout
    assert "Scheduled" not in operator.run("explain", "orders.collect").stdout
