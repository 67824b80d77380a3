"""What a copy's job.json and unit say: pure, from those of its job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitopsd.agent.copy_job import copied_job, inputs_of
from gitopsd.agent.copy_place import CopyPlace, parse_place
from gitopsd.agent.copy_unit import copy_unit
from gitopsd.agent.errors import AgentError
from gitopsd.agent.layout import Layout
from gitopsd.agent.release import job_of_unit
from gitopsd.compiler.render.unit import unit_text

JOB = "orders.deliver.0"
LAYOUT = Layout(Path("/var/lib/gitopsd"), Path("/run/gitopsd"), "systemd", None)
PLACE = CopyPlace(LAYOUT, "mine")
SOCKET = {"transport": "worker", "channel": "production.orders.raw", "socket": "d78812b0624d"}
SOCKETS = {"transport": "worker", "channel": "production.orders.out", "sockets": ["d78812b0624d", "2311b1633750"]}
STORE_IN = {"transport": "file-store", "channel": "c", "path": "/srv/raw", "consumer": "x", "replica": 0, "replicas": 1}
STORE_OUT = {"transport": "file-store", "channel": "c", "path": "/srv/out", "producer": JOB, "consumers": {"x": 1}}


def runner(role: str = "relay", **changes: Any) -> dict[str, Any]:
    part = {"role": role, "with": {}, "inputs": {}, "outputs": {}, **changes}
    return {
        "format": 1,
        "job": JOB,
        "kind": "service",
        "exec": ["python3", "-IB", "../../runtime/runner"],
        "runner": part,
    }


@given(st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True))
def test_no_copys_unit_is_ever_that_of_a_job(name: str) -> None:
    place = parse_place(LAYOUT, name)
    assert job_of_unit(place.unit) is None
    assert len(str(place.sockets / ("0" * 12))) < 108


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a.0", "-a", "a-", "A", "a" * 64, "a\n", None, 3, "é"])
def test_other_names_are_refused(name: object) -> None:
    with pytest.raises(AgentError):
        parse_place(LAYOUT, name)


@pytest.mark.parametrize("end", [SOCKET, STORE_IN])
def test_an_input_of_the_runner_becomes_a_socket_of_its_own(end: dict[str, Any]) -> None:
    copied = copied_job(runner(inputs={"default": [end]}), PLACE)
    (own,) = copied.document["runner"]["inputs"]["default"]
    assert own["transport"] == "worker"
    assert own["socket"] != end.get("socket")
    assert own["channel"] != end["channel"]
    assert inputs_of(copied.document) == {"default": own}


@pytest.mark.parametrize("end", [SOCKETS, STORE_OUT])
def test_an_output_of_the_runner_becomes_files_of_its_own(end: dict[str, Any]) -> None:
    copied = copied_job(runner(outputs={"default": [end]}), PLACE)
    (own,) = copied.document["runner"]["outputs"]["default"]
    assert (own["transport"], own["producer"], own["consumers"]) == ("file-store", "mine", {})
    assert own["path"] == "/var/lib/gitopsd/copies/mine/state/out-default"
    assert copied.parted == ({"/srv/out"} if "path" in end else frozenset())


def test_what_is_written_to_files_goes_elsewhere_too() -> None:
    copied = copied_job(runner("write-files", **{"with": {"path": "/srv/target", "rotate_bytes": 1}}), PLACE)
    assert copied.document["runner"]["with"]["path"] == "/var/lib/gitopsd/copies/mine/state/written"
    assert copied.document["runner"]["with"]["rotate_bytes"] == 1
    assert copied.parted == {"/srv/target"}


def test_a_program_of_its_own_keeps_its_transports_in_other_places() -> None:
    channels = {"inputs": {"default": [SOCKET, STORE_IN]}, "outputs": {"good": [SOCKETS], "bad": [STORE_OUT]}}
    document = {"format": 1, "job": JOB, "kind": "service", "exec": ["./it"], "channels": channels}
    copied = copied_job(document, PLACE)
    own = copied.document["channels"]
    assert [end["transport"] for end in own["inputs"]["default"]] == ["worker", "file-store"]
    assert own["inputs"]["default"][1]["path"].startswith(str(PLACE.state))
    assert own["outputs"]["bad"][0]["path"].startswith(str(PLACE.state))
    used = {own["inputs"]["default"][0]["socket"], *own["outputs"]["good"][0]["sockets"]}
    assert len(used) == 3
    assert not used & {SOCKET["socket"], *SOCKETS["sockets"]}
    assert copied.parted == {"/srv/raw", "/srv/out"}


def test_a_program_that_speaks_to_a_broker_by_itself_has_no_copy() -> None:
    channels = {"inputs": {"default": [{"transport": "nats", "channel": "c"}]}, "outputs": {}}
    with pytest.raises(AgentError, match="nats"):
        copied_job({"format": 1, "job": JOB, "exec": ["./it"], "channels": channels}, PLACE)


@pytest.mark.parametrize("settings", [{}, {"User": "daemon", "ReadWritePaths": "/srv/more"}])
@pytest.mark.parametrize("kind", ["service", "once"])
def test_no_path_of_the_jobs_own_is_left_in_the_copys_unit(kind: str, settings: dict[str, Any]) -> None:
    text = unit_text(
        JOB,
        kind=kind,
        notifies=True,
        directories=("/srv/a channel", "/srv/100%", "/srv/kept"),
        settings=settings,
        on_change="reload",
        secrets=("token",),
    )
    unit = copy_unit(text.encode(), JOB, PLACE, {"/srv/a channel", "/srv/100%"}).decode()
    for left in (f"state/{JOB}", "current", "/srv/a channel", "100%", f"launch.py {JOB}", " /run/gitopsd/s "):
        assert left not in unit, left
    lines = unit.splitlines()
    assert "StateDirectory=gitopsd/copies/mine/state" in lines
    assert "LoadCredential=token:/var/lib/gitopsd/copies/mine/credentials/token" in lines
    assert "InaccessiblePaths=-/run/gitopsd/s" in lines
    assert f"Environment=GITOPSD_RUN={PLACE.run}" in lines
    (writable,) = (line for line in lines if line.startswith("ReadWritePaths="))
    assert "/srv/kept" in writable
    assert "/run/gitopsd/s" not in writable.replace(str(PLACE.sockets), "")
    assert (f"RuntimeDirectory=gitopsd/c/{PLACE.run.name}/s" in lines) == ("User" not in settings)
    assert set(text.splitlines()) - set(lines) <= {
        line
        for line in text.splitlines()
        if line.partition("=")[0]
        in {"Description", "ExecStart", "StateDirectory", "RuntimeDirectory", "ConditionPathExists", "LoadCredential"}
        | {"ReadWritePaths", "RequiresMountsFor", "ExecStartPre"}
    }, "everything else, hardening above all, stays"
