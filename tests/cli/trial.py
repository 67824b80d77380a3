"""A workflow to try events with: a module with a transform in it, a filter, and ends that lead outside."""

from tests.operator import Operator

FILES = {
    "workflows/orders.yaml": """\
workflow: orders
params: {floor: {type: integer, default: 1}}
steps:
  collect:
    use: std/read-files
    with: {glob: "/srv/orders/in/*.csv", mode: tail, format: csv}
    out: raw
    place: {group: local}
  cleanse:
    use: modules/cleanse
    in: {records: raw}
    with: {floor: "${{ params.floor }}"}
    out: {good: ok, bad: bad}
    place: {group: local}
  loud:
    use: blueprints/loud
    in: ok
    out: shouted
    place: {group: local}
  deliver: {use: std/write-files, in: shouted, with: {path: "${{ params.out }}"}, place: {group: local}}
  reject: {use: std/write-files, in: bad, with: {path: "${{ params.out }}"}, place: {group: local}}
channels:
  raw: {transport: worker}
  ok: {transport: nats, servers: ["nats://192.0.2.1:4222"]}
  shouted: {transport: file-store, path: /srv/orders/store}
  bad: {transport: worker}
""".replace("params: {floor", "params: {out: {type: string, default: /srv/orders/out}, floor"),
    "modules/cleanse.yaml": """\
module: cleanse
params: {floor: {type: integer, description: "the fewest pieces that count"}}
in: {records: rows}
out: {good: good, bad: bad}
steps:
  filter:
    use: std/transform
    in: rows
    out: {default: good, error: bad}
    with:
      actions:
        - {filter: "to_number(qty) > `${{ params.floor }}`"}
        - {set: {worker: "'${{ worker.name }}'"}}
        - {remove: [debug]}
channels: {rows: {transport: worker}, good: {transport: worker}, bad: {transport: worker}}
""",
    "blueprints/loud.yaml": """\
blueprint: loud
in: {default: {speaks: [stdio]}}
out: {default: {speaks: [stdio]}}
job:
  exec: [python3, "${{ job.files }}/loud.py"]
  files: {loud.py: {from: files/loud.py}}
""",
    "files/loud.py": """\
import sys
for line in sys.stdin:
    sys.stdout.write(line.upper())
""",
    "events.jsonl": '{"qty":5,"debug":1}\n\n{"qty":1}\nnot json\n{"qty":9}',
    "events.csv": "id,qty\n1,7\n2,1\n",
}


def with_orders(operator: Operator) -> Operator:
    operator.write(FILES)
    return operator
