"""A step that another one starts, on its own machine and on another, through kills and the loss of power."""

import json
from typing import Any

import pytest

from tests.fleet.fixtures import StartFleet
from tests.fleet.machine import Machine
from tests.fleet.machines import Fleet
from tests.fleet.operators import production_operator
from tests.operator import Operator, eventually

WORKFLOW = """\
workflow: shop
steps:
  close:
    use: blueprints/close
    signals: orders-closed
    place: {group: edge}
  report:
    use: blueprints/step
    on: {message: orders-closed}
    signals: reported
    place: {group: edge}
  bill:
    use: blueprints/step
    on: {message: reported}
    place: {group: core}
messages:
  orders-closed: {transport: worker}
  reported: {transport: file-store, path: /mnt/shared/reported}
"""

CLOSE = """\
blueprint: close
job:
  kind: schedule
  schedule: "2099-01-01"
  exec: [python3, files/step.py]
  writes: [/srv/log]
  files: {step.py: {from: files/step.py}}
"""

STEP = """\
blueprint: step
job: {kind: once, exec: [python3, files/step.py], writes: [/srv/log], files: {step.py: {from: files/step.py}}}
"""

SCRIPT = """\
import json, os, pathlib, time
job = os.environ["GITOPSD_JOB"]
message = os.environ.get("GITOPSD_MESSAGE")
told = json.loads(pathlib.Path(message).read_text()) if message else None
log = (pathlib.Path("/srv/log") / job).open("a")
print(json.dumps({"began": told, "pid": os.getpid()}), file=log, flush=True)
while pathlib.Path(f"/srv/hold-{job}").exists():
    time.sleep(0.05)
print(json.dumps({"ended": True}), file=log, flush=True)
"""

FLEET = """\
groups:
  edge: {{mounts: {{/mnt/shared: shared}}, workers: {{edge-1: {edge}}}}}
  core: {{mounts: {{/mnt/shared: shared}}, workers: {{core-1: {core}}}}}
"""

CLOSES, REPORTS, BILLS = "shop.close.0", "shop.report.0", "shop.bill.0"


class Shop:
    def __init__(self, machines: Fleet) -> None:
        self.edge, self.core = machines["edge-1"], machines["core-1"]

    def close(self) -> int:
        """A run out of schedule, to its end."""
        return self.edge.run(["systemctl", "start", unit(CLOSES)], check=False).returncode

    def began(self, job: str) -> list[dict[str, object]]:
        return [entry["began"] for entry in self._log(job) if "began" in entry]

    def ended(self, job: str) -> int:
        return sum("ended" in entry for entry in self._log(job))

    def pid(self, job: str) -> object:
        """Of the run that began last."""
        return next(entry["pid"] for entry in reversed(self._log(job)) if "began" in entry)

    def hold(self, job: str) -> None:
        self._machine(job).run(["touch", f"/srv/hold-{job}"])

    def let_go(self, job: str) -> None:
        self._machine(job).run(["rm", f"/srv/hold-{job}"])

    def _log(self, job: str) -> list[dict[str, Any]]:
        path = self._machine(job).root / "srv/log" / job
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def _machine(self, job: str) -> Machine:
        return self.core if job == BILLS else self.edge


def unit(job: str) -> str:
    return f"gitopsd-{job}.service"


@pytest.fixture(scope="module")
def machines(fleet: StartFleet, tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    shared = tmp_path_factory.mktemp("shared")
    shared.chmod(0o777)
    return fleet(names=("edge-1", "core-1"), shared={"/mnt/shared": shared})


@pytest.fixture(scope="module")
def operator(machines: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Operator:
    operator = production_operator(tmp_path_factory.mktemp("home"), machines)
    ways = {
        name: json.dumps({"address": machine.address, "user": "root", "host_key": machine.host_key})
        for name, machine in (("edge", machines["edge-1"]), ("core", machines["core-1"]))
    }
    operator.write(
        {
            "fleets/production.yaml": FLEET.format(**ways),
            "workflows/shop.yaml": WORKFLOW,
            "blueprints/close.yaml": CLOSE,
            "blueprints/step.yaml": STEP,
            "files/step.py": SCRIPT,
        }
    )
    operator.commit("A report and a bill after each close")
    return operator


@pytest.fixture(scope="module")
def deployed(operator: Operator, machines: Fleet) -> Fleet:
    operator.run("worker", "probe")
    operator.run("apply")
    return machines


@pytest.fixture
def shop(deployed: Fleet) -> Shop:
    """Settled: what earlier tests signalled has ended."""
    shop = Shop(deployed)
    before = shop.ended(BILLS)
    assert shop.close() == 0
    eventually("the first close is billed", lambda: shop.ended(BILLS) > before)
    return shop


def test_a_run_that_ended_well_starts_one_beside_it_and_that_one_on_another_machine(shop: Shop) -> None:
    assert shop.began(REPORTS)[-1]["count"] == 1
    told = shop.began(BILLS)[-1]
    assert told["message"] == "reported"
    assert isinstance(told["newest"], dict)
    assert told["newest"]["job"] == REPORTS
    verified = shop.edge.run(["systemd-analyze", "verify", f"/etc/systemd/system/{unit(REPORTS)}"], check=False)
    assert (verified.returncode, verified.stderr) == (0, "")


@pytest.mark.parametrize("victim", ["the job", "the run"])
def test_a_killed_run_comes_again(shop: Shop, victim: str) -> None:
    begun, reports, bills = len(shop.began(REPORTS)), shop.ended(REPORTS), shop.ended(BILLS)
    shop.hold(REPORTS)
    assert shop.close() == 0
    eventually("the run begins", lambda: len(shop.began(REPORTS)) > begun)
    main = shop.edge.run(["systemctl", "show", "--property=MainPID", "--value", unit(REPORTS)]).stdout.strip()
    shop.edge.run(["kill", "-9", main if victim == "the job" else str(shop.pid(REPORTS))])
    eventually("it begins again", lambda: len(shop.began(REPORTS)) > begun + 1)
    assert shop.ended(REPORTS) == reports
    shop.let_go(REPORTS)
    eventually("both end", lambda: (shop.ended(REPORTS), shop.ended(BILLS)) == (reports + 1, bills + 1))


def test_a_signaller_that_is_killed_signals_nothing_and_the_next_run_does(shop: Shop) -> None:
    begun, reports, closes = len(shop.began(REPORTS)), shop.ended(REPORTS), len(shop.began(CLOSES))
    bills = shop.ended(BILLS)
    shop.hold(CLOSES)
    shop.edge.run(["systemctl", "start", "--no-block", unit(CLOSES)])
    eventually("the close begins", lambda: len(shop.began(CLOSES)) > closes)
    shop.edge.run(["systemctl", "kill", "--signal=KILL", unit(CLOSES)])
    shop.let_go(CLOSES)
    eventually(
        "the close has failed",
        lambda: shop.edge.run(["systemctl", "is-active", unit(CLOSES)], check=False).stdout == "failed\n",
    )
    assert len(shop.began(REPORTS)) == begun
    assert shop.close() == 0
    eventually("it is reported, and billed", lambda: shop.ended(REPORTS) == reports + 1 and shop.ended(BILLS) > bills)


def test_a_message_outlives_the_loss_of_power_on_either_side(shop: Shop) -> None:
    reports, bills = shop.ended(REPORTS), shop.ended(BILLS)
    shop.core.power_off()
    shop.edge.run(["systemctl", "stop", unit(REPORTS)])
    for _ in range(2):
        assert shop.close() == 0
    shop.edge.power_off()
    shop.edge.boot()
    eventually("it is reported", lambda: shop.ended(REPORTS) == reports + 1)
    assert shop.began(REPORTS)[-1]["count"] == 2
    shop.core.boot()
    eventually("it is billed", lambda: shop.ended(BILLS) == bills + 1)


def test_a_job_that_no_longer_waits_is_drift_and_is_healed(shop: Shop, operator: Operator) -> None:
    shop.edge.run(["systemctl", "stop", unit(REPORTS)])
    drift = operator.run("reconcile", "--dry-run", expect=2)
    assert REPORTS in drift.stdout
    operator.run("reconcile")
    reports = shop.ended(REPORTS)
    assert shop.close() == 0
    eventually("it is reported", lambda: shop.ended(REPORTS) == reports + 1)
