"""What ships beside the runner, for the jobs that need it only."""

import msgspec
import pytest

from gitopsd.compiler.back import Compiled
from gitopsd.runner.bundle import library_files
from tests.compiler import cases
from tests.compiler.cases import GOLDEN, Case


def _jobs(compiled: Compiled) -> dict[str, tuple[str, bool]]:
    """Job -> its digest, and whether it needs a library."""
    assert compiled.rendering is not None
    jobs = [job for release in compiled.rendering.releases.values() for job in release.jobs]
    return {job.name: (str(job.record["digest"]), bool(job.libraries)) for job in jobs}


def test_a_release_has_the_libraries_that_its_jobs_need() -> None:
    rendering = Case(path=GOLDEN / "the-example-of-the-design").compile().rendering
    assert rendering is not None
    tree = rendering.tree()
    assert tree.grafts == frozenset()
    for worker, release in rendering.releases.items():
        needed = {name for job in release.jobs for name in job.libraries}
        folder = f"workers/{worker}/libraries"
        assert {path.rpartition("/")[2] for path in tree.entries if path.rpartition("/")[0] == folder} == needed
        record = msgspec.json.decode(tree.objects[tree.entries[f"workers/{worker}/release.json"].id].data)
        assert record.get("libraries", {}).keys() == needed
        for name in needed:
            assert tree.entries[f"{folder}/{name}"].id == record["libraries"][name]


def test_another_version_of_a_library_restarts_the_jobs_that_need_it_and_no_neighbour(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    case = Case(path=GOLDEN / "the-example-of-the-design")
    before = _jobs(case.compile())
    monkeypatch.setitem(cases.LIBRARIES["nats"], "nats/__init__.py", (b"# a newer one\n", False))
    after = _jobs(case.compile())
    changed = {name for name, (digest, _) in before.items() if after[name][0] != digest}
    assert changed == {name for name, (_, needs) in before.items() if needs}
    assert 0 < len(changed) < len(before)


def test_a_library_ships_as_its_own_text_with_the_licences_of_its_parts() -> None:
    files = library_files("nats")
    assert list(files) == sorted(files)
    assert "Apache License" in files["nats/LICENSE"][0].decode()
    assert {"nats/js/client.py", "ecdsa/eddsa.py", "six.py"} <= files.keys()
    licences = {"nats/LICENSE", "ecdsa/LICENSE", "six-LICENSE"}
    assert {path.rpartition(".")[2] for path in files} == {"py", *licences}
    assert not [path for path in files if "/test" in path]
