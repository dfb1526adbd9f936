"""The queue: order, bounds, time, and what is said of work that fails."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from xray2xray.core.errors import InputError
from xray2xray.explorer.cases import Cases
from xray2xray.explorer.finished import Grids
from xray2xray.explorer.limits import Limits
from xray2xray.explorer.worker import Full, Job, Stage, Worker

SOON_S = 20.0


@pytest.fixture
def make() -> Iterator[Callable[..., Worker]]:
    made = []

    def worker(waiting: int = 3, seconds: float = 60.0) -> Worker:
        made.append(Worker(waiting, seconds))
        return made[-1]

    yield worker
    for one in made:
        one.stop()


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + SOON_S
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def held() -> tuple[Job[str], threading.Event]:
    """A job that ends when it may, and goes through two stages."""
    may = threading.Event()

    def work(stage: Stage) -> str:
        stage("first")
        may.wait(SOON_S)
        stage("second")
        return "made"

    return Job(work), may


def test_jobs_wait_for_each_other(make: Callable[..., Worker]) -> None:
    worker, (first, may), (second, may_too) = make(), held(), held()
    worker.submit(first)
    until(lambda: first.stage == "first")
    worker.submit(second)
    assert (second.state, worker.ahead(second), worker.ahead(first)) == ("waiting", 1, 0)
    may.set()
    may_too.set()
    until(lambda: second.state == "done")
    assert (first.state, first.result, first.stage) == ("done", "made", "second")


def test_a_full_queue_takes_nothing(make: Callable[..., Worker]) -> None:
    worker, jobs = make(waiting=1), [held() for _ in range(3)]
    worker.submit(jobs[0][0])
    until(lambda: jobs[0][0].state == "working")
    worker.submit(jobs[1][0])
    with pytest.raises(Full):
        worker.submit(jobs[2][0])
    for _, may in jobs:
        may.set()
    until(lambda: jobs[1][0].state == "done")


def test_what_takes_too_long_is_given_up_and_others_go_on(make: Callable[..., Worker]) -> None:
    worker, (slow, may), (other, at_once) = make(seconds=0.0), held(), held()
    at_once.set()
    worker.submit(slow)
    until(lambda: slow.stage == "first")
    worker.check_time()
    assert slow.state == "failed"
    assert "took more than" in slow.message
    worker.submit(other)
    until(lambda: other.state == "done")
    may.set()
    time.sleep(0.05)
    assert (slow.state, slow.result) == ("failed", None)


def test_files_of_a_job_are_removed_also_if_it_never_begins(make: Callable[..., Worker]) -> None:
    worker, (first, may), cleaned = make(), held(), []
    first.clean = lambda: cleaned.append("first")
    never = Job(lambda stage: cleaned.append("worked"), lambda: cleaned.append("never"))
    worker.submit(first)
    worker.submit(never)
    never.abandon()
    may.set()
    until(lambda: len(cleaned) == 2)
    assert cleaned == ["first", "never"]


def test_messages_of_failures_are_for_users(make: Callable[..., Worker]) -> None:
    def fails(error: Exception) -> Job[str]:
        def work(stage: Stage) -> str:
            raise error

        return Job(work)

    worker = make()
    bad, fault = fails(InputError("this is\n no chest")), fails(RuntimeError("Quxplant in a header"))
    for job in (bad, fault):
        worker.submit(job)
    until(lambda: fault.state == "failed")
    assert (bad.state, bad.message) == ("failed", "this is no chest")
    assert "Quxplant" not in fault.message


def test_users_who_are_not_heard_of_are_forgotten(make: Callable[..., Worker]) -> None:
    worker, (job, may) = make(), held()
    cases = Cases(Limits(idle_s=0.05), worker, Grids())
    user = cases.new_user()
    number = cases.add(user, job)
    assert cases.of(user, number) is job
    assert cases.of(cases.new_user(), number) is None
    until(lambda: job.state == "working")
    time.sleep(0.06)
    cases.forget_idle()
    assert not cases.knows(user)
    may.set()
    until(lambda: worker.ahead(job) == 0)
    assert (job.state, job.result) == ("failed", None)


def test_the_oldest_case_goes_when_there_are_too_many(make: Callable[..., Worker]) -> None:
    worker = make(waiting=9)
    cases = Cases(Limits(cases_each=2, cases=3), worker, Grids())
    user, other = cases.new_user(), cases.new_user()
    mine = [cases.add(user, Job(lambda stage: None)) for _ in range(3)]  # type: ignore[arg-type, return-value]
    assert [cases.of(user, number) is not None for number in mine] == [False, True, True]
    cases.knows(other)
    theirs = [cases.add(other, Job(lambda stage: None)) for _ in range(2)]  # type: ignore[arg-type, return-value]
    assert [cases.of(user, number) is not None for number in mine] == [False, False, True]
    assert all(cases.of(other, number) is not None for number in theirs)
