"""Converging the built-in worker through the controller's own functions."""

from pathlib import Path

from tests.operator import Operator, local_operator


def test_old_releases_are_pruned_but_the_one_before_stays(tmp_path: Path) -> None:
    operator = local_operator(tmp_path)
    try:
        releases = [_apply_rotation(operator, seconds) for seconds in range(1, 8)]
        (state,) = (tmp_path / "state/gitopsd").glob("local-1-*")
        held = {path.name for path in (state / "releases").iterdir()}
        assert {releases[-1], releases[-2]} <= held
        assert len(held) <= 5
    finally:
        operator.run("worker", "teardown", "local-1", "--yes")


def _apply_rotation(operator: Operator, seconds: int) -> str:
    """Apply a version that differs in one argument; the id of the release that it comes to."""
    path = operator.folder / "workflows/roundtrip.yaml"
    lines = [line for line in path.read_text().splitlines() if "/out" not in line]
    position = next(index for index, line in enumerate(lines) if "in: collected" in line)
    lines.insert(position + 1, f'    with: {{path: "${{{{ params.data }}}}/out", rotate_seconds: {seconds}}}')
    path.write_text("\n".join(lines) + "\n")
    operator.commit(f"Rotate after {seconds} s")
    operator.run("apply")
    return operator.git("rev-parse", "rendered/local:workers/local-1")
