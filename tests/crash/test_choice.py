"""What the matrix is made of, whichever points an apply has."""

from __future__ import annotations

from tests.crash.faults import FAULTS
from tests.crash.matrix import all_trials, page, sample
from tests.crash.steps import AGENT, CONTROLLER, step_of
from tests.crash.trial import Outcome

_ACTIVATE = "__main__.main > verbs.handle > verbs._activate > activate.activate"
POINTS = {
    AGENT: [
        f"{_ACTIVATE} > lock.exclusive > lock._acquire | write gitopsd/lock #1",
        *(f"{_ACTIVATE} > activate._stage > store.stage > durable.write_file | write a/{name} #1" for name in "abcdef"),
        f"{_ACTIVATE} > converge.converge > store.swap | rename gitopsd/.current.new #1",
        f"{_ACTIVATE} > converge.converge > novelty.think > novelty.act | write a/thought #1",
        "__main__.main > verbs.handle > verbs._confirm > confirm.confirm | remove gitopsd/switch.json #1",
    ],
    CONTROLLER: [
        "cli.main.main > repo.remote.push > repo.gitcommand.run_git | run git push origin #1",
        "cli.main.main > repo.remote.push > repo.gitcommand.run_git | end of git push origin #1",
        "fleet.fanout._work > fleet.verbs.activate | before the call of activate #1",
        "fleet.fanout._work > fleet.verbs.activate | after the call of activate #1",
    ],
}
ROWS = {(side, step_of(side, point)) for side, points in POINTS.items() for point in points}


def test_steps_have_names_and_one_that_nobody_named_is_a_step_of_its_own() -> None:
    assert {
        *((AGENT, step) for step in ("lock", "stage the release", "swap the release", "novelty.act", "confirm")),
        *((CONTROLLER, step) for step in ("push", "activate")),
    } == ROWS


def test_the_sample_meets_each_row_and_each_column() -> None:
    chosen = sample(POINTS)
    assert {trial.row for trial in chosen} == ROWS
    assert {(trial.fault.name, trial.side) for trial in chosen} == {
        (fault.name, side) for fault in FAULTS for side in fault.sides
    }


def test_the_full_matrix_has_both_ends_of_each_step_for_each_fault_and_each_cell_once_before_any_twice() -> None:
    trials = all_trials(POINTS)
    cells = [(*trial.row, trial.fault.name) for trial in trials]
    assert set(cells) == {(side, row, fault.name) for side, row in ROWS for fault in FAULTS if side in fault.sides}
    first_again = next(number for number, cell in enumerate(cells) if cell in cells[:number])
    assert set(cells[:first_again]) == set(cells)
    files = [trial.point for trial in trials if "stage" in trial.row[1] and trial.fault.name == "link cut"]
    assert [point.rpartition("| ")[2] for point in files] == ["write a/a #1", "write a/f #1"]
    assert len({(trial.point, trial.fault.name) for trial in trials}) == len(trials)


def test_the_page_says_how_many_failed_where_and_how_many_were_left() -> None:
    trials = sorted(all_trials(POINTS), key=lambda trial: (trial.row != (AGENT, "lock"), trial.fault.name))
    outcomes = [Outcome(trial=trial, problems=(), said="") for trial in trials[1:]]
    failed = Outcome(trial=trials[0], problems=("a unit was left stopped",), said="")
    whole = page([failed, *outcomes], POINTS, trials=len(trials))
    assert f"**{len(trials)} points, {len(trials) - 1} passed.** In" in whole
    assert "| lock | 1 (1 failed) | 1 |" in whole
    assert f"{len(trials) - 1} more were not tried" in page([failed], POINTS, trials=len(trials))
