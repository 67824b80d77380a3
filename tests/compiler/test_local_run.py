"""Which steps run when a workflow is tried on a laptop, and why the others don't."""

from collections.abc import Mapping

from gitopsd.compiler.front import compile_front
from gitopsd.compiler.local.run import LocalRun, Wishes
from gitopsd.compiler.local.subject import Name, bind_subject
from gitopsd.compiler.local.wiring import wire
from tests.compiler.cases import GOLDEN, Case
from tests.contents import in_memory

FILES = {
    "gitopsd.yaml": "environments: {production: {fleet: fleets/local.yaml}}\n",
    "fleets/local.yaml": """\
groups:
  edge:
    labels: {region: eu}
    workers:
      edge-1: {address: 10.0.0.1, host_key: KEY, labels: {region: us}}
      edge-2: {address: 10.0.0.2, host_key: KEY}
""".replace("KEY", '"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDRqpX2nJ8oWkBKmZQ1L8D0Ck7W4o3y2UuJbqv0mAOtN"'),
    "blueprints/pay.yaml": """\
blueprint: pay
secrets: [card]
in: {default: {speaks: [worker]}}
out: {default: {speaks: [worker]}}
job: {exec: [pay]}
""",
    "blueprints/publish.yaml": """\
blueprint: publish
in: {default: {speaks: [nats]}}
job: {exec: [publish]}
""",
    "workflows/orders.yaml": """\
workflow: orders
steps:
  collect: {use: std/read-files, with: {glob: /srv/in/*}, out: raw, place: {group: edge}}
  mark:
    use: std/transform
    in: raw
    out: {default: marked}
    with: {actions: [{set: {by: "'${{ worker.name }}'"}}]}
    place: {group: edge, constraints: ["label.region == eu"]}
  pay: {use: blueprints/pay, in: marked, out: paid, place: {group: edge, constraints: ["label.region == eu"]}}
  publish: {use: blueprints/publish, in: paid, place: {group: edge}}
channels:
  raw: {transport: file-store, path: /srv/store}
  marked: {transport: worker}
  paid: {transport: nats, servers: ["nats://10.0.0.9:4222"]}
""",
}


def local_run(files: Mapping[str, bytes], name: Name, wishes: Wishes) -> LocalRun:
    front = compile_front(in_memory(files), None)
    assert front.linked is not None, front.diagnostics
    subject, mistakes = bind_subject(front.linked, name, {})
    assert subject is not None, mistakes
    run, mistakes = wire(subject, wishes)
    assert run is not None, mistakes
    return run


def ways(run: LocalRun) -> dict[str, tuple[str, str]]:
    return {step.name: (step.way, step.why) for step in run.steps}


def orders(wishes: Wishes) -> LocalRun:
    return local_run({path: text.encode() for path, text in FILES.items()}, Name(workflow="orders"), wishes)


def test_what_needs_secrets_or_speaks_to_the_network_is_left_out_whoever_asks_for_it() -> None:
    run = orders(Wishes(given=["raw", "paid"], asked=["pay", "publish"]))
    assert ways(run) == {
        "collect": ("given", ""),
        "mark": ("runs", ""),
        "pay": ("left-out", "it needs secrets: card"),
        "publish": ("left-out", "its port `default` speaks nothing but nats"),
    }


def test_every_channel_is_a_socket_with_a_tap() -> None:
    run = orders(Wishes(given=["raw"]))
    mark = next(step for step in run.steps if step.name == "mark")
    runner = mark.document["runner"]
    ends = [end for port in (*runner["inputs"].values(), *runner["outputs"].values()) for end in port]
    assert {end["transport"] for end in ends} == {"worker"}
    assert runner["outputs"]["default"][0]["sockets"] == [run.channels["marked"].tap]
    assert runner["inputs"]["default"][0]["socket"] in run.channels["raw"].sockets


def test_an_expression_gets_the_first_worker_that_the_constraints_allow() -> None:
    mark = next(step for step in orders(Wishes(given=["raw"])).steps if step.name == "mark")
    assert mark.document["runner"]["with"]["actions"] == [{"set": {"by": "'edge-2'"}}]


def test_what_waits_for_a_message_is_left_out_and_says_for_which() -> None:
    case = Case(path=GOLDEN / "messages")
    found = ways(local_run(case.source(), Name(workflow="shop"), Wishes(given=["orders"])))
    assert found["large"] == ("runs", "")
    assert found["check"] == ("left-out", "it waits for the message `large-order`")
    assert found["mail.write"] == ("left-out", "it waits for the message `reported`")
