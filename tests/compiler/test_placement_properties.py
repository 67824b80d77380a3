from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.compiler.repositories import REGIONS, REPOSITORIES, Pair, Repository, placed, try_to_place


@given(repository=REPOSITORIES)
def test_what_is_placed_stays(repository: Repository) -> None:
    before = placed(repository)
    assert placed(repository, before) == before


@given(repository=REPOSITORIES, region=REGIONS)
def test_adding_a_worker_moves_nothing(repository: Repository, region: str) -> None:
    before = placed(repository)
    assert placed(repository.with_worker("edge-new", region), before) == before


@given(repository=REPOSITORIES, data=st.data())
def test_removing_a_worker_moves_only_its_own_jobs(repository: Repository, data: st.DataObject) -> None:
    before = placed(repository)
    leaving = sorted(name for name in repository.workers if not name.startswith("first-"))
    assume(leaving)
    worker = data.draw(st.sampled_from(leaving))
    after = placed(repository.without(worker), before)
    moved = {job for job in before if after[job] != before[job]}
    assert moved == {job for job, where in before.items() if where == worker}


@given(repository=REPOSITORIES)
def test_replicas_spread_over_the_eligible_workers(repository: Repository) -> None:
    jobs = placed(repository)
    for number, pairs in enumerate(repository.workflows):
        for index, pair in enumerate(pairs):
            if pair.packs:
                continue
            fitting = [name for name, region in repository.workers.items() if pair.region in {None, region}]
            for step in (f"read-{index}", f"write-{index}"):
                counts = Counter(jobs[f"flow-{number}.{step}.{replica}"] for replica in range(pair.replicas))
                assert set(counts) <= set(fitting)
                assert max(counts.values()) - min(counts.get(name, 0) for name in fitting) <= 1


@given(repository=REPOSITORIES)
def test_load_is_even_where_every_worker_fits_every_step(repository: Repository) -> None:
    single = tuple(
        tuple(Pair(replicas=1, together=False, region=None) for _ in pairs) for pairs in repository.workflows
    )
    counts = Counter(placed(Repository(workers=repository.workers, workflows=single)).values())
    assert max(counts.values()) - min(counts.get(name, 0) for name in repository.workers) <= 1


@given(repository=REPOSITORIES, slots=st.integers(1, 6))
def test_packing_begins_another_worker_only_when_one_is_full(repository: Repository, slots: int) -> None:
    alone = tuple(
        tuple(Pair(replicas=1, together=False, region=None, packs=True) for _ in pairs)
        for pairs in repository.workflows
    )
    placement, _ = try_to_place(Repository(workers=repository.workers, workflows=alone, slots=slots))
    assume(placement is not None)
    assert placement
    counts = Counter(placement.jobs.values())
    assert len(counts) == -(-len(placement.jobs) // slots)


@given(repository=REPOSITORIES)
def test_steps_joined_by_a_worker_channel_are_side_by_side(repository: Repository) -> None:
    jobs = placed(repository)
    for number, pairs in enumerate(repository.workflows):
        for index, pair in enumerate(pairs):
            for replica in range(pair.replicas if pair.together else 0):
                assert jobs[f"flow-{number}.read-{index}.{replica}"] == jobs[f"flow-{number}.write-{index}.{replica}"]


@given(repository=REPOSITORIES, slots=st.integers(0, 6))
def test_no_worker_gets_more_than_its_slots(repository: Repository, slots: int) -> None:
    tight = Repository(workers=repository.workers, workflows=repository.workflows, slots=slots)
    placement, mistakes = try_to_place(tight)
    if placement is None:
        assert {mistake.code for mistake in mistakes} == {"no-eligible-worker"}
    else:
        assert max(Counter(placement.jobs.values()).values()) <= slots


@given(repository=REPOSITORIES)
def test_a_cordoned_worker_keeps_what_it_has_and_gets_nothing_new(repository: Repository) -> None:
    before = placed(repository)
    cordoned = frozenset(name for name in repository.workers if not name.startswith("first-"))
    assert placed(repository, before, cordoned=cordoned) == before
    assert not cordoned & set(placed(repository, cordoned=cordoned).values())


@pytest.mark.parametrize(("decision", "said"), [("drained", "is being drained"), ("lost", "is lost")])
@given(repository=REPOSITORIES, data=st.data())
def test_draining_or_losing_a_worker_moves_only_its_own_jobs_and_ending_that_moves_nothing(
    repository: Repository, data: st.DataObject, decision: str, said: str
) -> None:
    before = placed(repository)
    worker = data.draw(st.sampled_from(sorted(repository.workers)))
    others = {where for name, where in repository.workers.items() if name != worker}
    assume(others == {"eu", "us"})
    decided = {decision: frozenset({worker})}
    placement, _ = try_to_place(repository, before, **decided)
    assert placement is not None
    after = dict(placement.jobs)
    moved = {job for job in before if after[job] != before[job]}
    assert moved == {job for job, where in before.items() if where == worker}
    assert {placement.moved[job] for job in moved} <= {f"`{worker}` {said}"}
    assert placed(repository, after, **decided) == after
    assert placed(repository, after) == after


@given(repository=REPOSITORIES, data=st.data())
def test_a_cordon_is_named_only_where_it_kept_a_job_away(repository: Repository, data: st.DataObject) -> None:
    cordoned = frozenset(data.draw(st.sets(st.sampled_from(sorted(repository.workers)))))
    free, _ = try_to_place(repository)
    held, _ = try_to_place(repository, cordoned=cordoned)
    assume(held is not None)
    assert free
    assert held
    if not held.kept_away:
        assert held.jobs == free.jobs
    for job, said in held.kept_away.items():
        assert held.jobs[job] not in cordoned
        assert said in {f"not on `{name}`: it is cordoned" for name in cordoned}


@given(repository=REPOSITORIES)
def test_steps_that_were_apart_gather_where_the_first_of_them_is(repository: Repository) -> None:
    apart, joined = (
        replace(
            repository,
            workflows=tuple(
                tuple(replace(pair, together=together) for pair in pairs) for pairs in repository.workflows
            ),
        )
        for together in (False, True)
    )
    before = placed(apart)
    after = placed(joined, before)
    for job, worker in before.items():
        if ".read-" in job:
            assert after[job] == worker
