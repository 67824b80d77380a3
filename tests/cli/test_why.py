"""Why a worker is as it is: the chain from the commit to the next action."""

from tests.operator import Operator

COLLECT, DELIVER = "roundtrip.collect.0", "roundtrip.deliver.0"


def _edit_collect(operator: Operator) -> None:
    (state,) = (operator.home / "state/gitopsd").glob("local-1-*")
    job = (state / f"current/jobs/{COLLECT}/job.json").resolve()
    job.chmod(0o644)
    job.write_text(job.read_text().replace("tail", "once"))


def test_a_worker_in_sync_needs_nothing_and_names_the_commit_that_decided(operator: Operator) -> None:
    operator.run("apply")
    shown = operator.run("why", "local-1").stdout
    assert f"deployment 1 (manual) of {operator.git('rev-parse', 'main')[:12]}" in shown
    assert "nothing: it is as it should be" in shown
    operator.write({"README.md": "Only words\n"})
    operator.commit("Only words")
    operator.run("apply")
    assert operator.run("why", "local-1", "--json").json["cause"]["deployment"] == 1


def test_a_difference_is_told_of_the_job_that_it_concerns_with_what_puts_it_right(operator: Operator) -> None:
    operator.run("apply")
    _edit_collect(operator)
    edited = operator.run("why", f"local-1/{COLLECT}").stdout
    assert f"{COLLECT} is running" in edited
    assert f"changed-file: jobs/{COLLECT}/job.json" in edited
    assert "`gitopsd reconcile local-1`" in edited
    assert operator.run("why", f"local-1/{DELIVER}", "--json").json["status"]["drift"] == []
    operator.run("reconcile", "local-1")
    assert operator.run("why", f"local-1/{COLLECT}", "--json").json["status"]["drift"] == []


def test_a_job_names_the_deployment_that_changed_it_last(operator: Operator) -> None:
    operator.run("apply")
    workflow = operator.folder / "workflows/roundtrip.yaml"
    workflow.write_text(workflow.read_text().replace("/out", "/other"))
    operator.commit("Write elsewhere")
    operator.run("apply")
    causes = {
        job: operator.run("why", f"local-1/{job}", "--json").json["cause"]["deployment"] for job in (COLLECT, DELIVER)
    }
    assert causes == {COLLECT: 1, DELIVER: 2}


def test_unknown_names_are_refused_with_the_nearest_one(operator: Operator) -> None:
    operator.run("apply")
    assert "did you mean `local-1`?" in operator.run("why", "local-2", expect=1).stderr
    assert "roundtrip.collect.0" in operator.run("why", "local-1/roundtrip.colect.0", expect=1).stderr
