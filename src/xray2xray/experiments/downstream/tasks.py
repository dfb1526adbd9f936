"""What is read from the pictures: a finding (a column of 0 and 1), a number, or an event in time (two columns)."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ...core.evidence import VIRTUAL
from ...data.groups import EVIDENCE, PATIENT, SOURCE_CT, SPLIT, evidence_of

FINDINGS = ("atelectasis", "cardiomegaly", "consolidation", "edema", "pleural_effusion", "cvd_prevalent")
TIME_TASK, TIME_COLUMNS = "cvd_time", ("event", "time_years")
TASKS = (*FINDINGS, TIME_TASK)
# what a store keeps of a study that is no label
_ABOUT = {
    PATIENT, SPLIT, EVIDENCE, SOURCE_CT, *TIME_COLUMNS, "study", "path", "series", "view", "sex", "age", "seed",
    "warp_seed", "preparation", "remove_couch",
}  # fmt: skip


def is_time(task: str) -> bool:
    """Whether a task is an event in time: `cvd_time`, or two columns EVENT,TIME."""
    return task == TIME_TASK or "," in task


def columns_of(task: str) -> tuple[str, ...]:
    """The columns of a task: of an event in time the event and then the time."""
    return TIME_COLUMNS if task == TIME_TASK else tuple(name.strip() for name in task.split(","))


def main_metric(task: str, numbers: Iterable[str] = ()) -> str:
    """What claims about a task are made of: chance is 0.5 and the best 1 in all three."""
    return "harrell_c" if is_time(task) else "concordance" if task in numbers else "auroc"


def tasks_in(facts: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The tasks of a store: the planted ones of virtual patients, else every label, and the event in time if there is
    one."""
    if all(evidence_of(fact) == VIRTUAL for fact in facts):
        return TASKS
    labels = [name for name in dict.fromkeys(name for fact in facts for name in fact) if name not in _ABOUT]
    followed = any(str(fact.get(TIME_COLUMNS[0])) in ("1", "1.0") for fact in facts)
    return (*labels, *((TIME_TASK,) if followed else ()))
