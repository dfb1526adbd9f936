"""Who may see which case: users are known by an unguessable number in their cookie, cases by one in their address."""

import secrets
import time
from dataclasses import dataclass, field

from .finished import Finished, Grids
from .limits import Limits
from .worker import Job, Worker


@dataclass(eq=False)
class User:
    """`cases` in the order in which they came."""

    cases: dict[str, Job[Finished]] = field(default_factory=dict)
    seen: float = field(default_factory=time.monotonic)


class Cases:
    """All users of one explorer with their cases, none of which is another's."""

    def __init__(self, limits: Limits, worker: Worker, grids: Grids) -> None:
        self._limits, self._worker, self._grids = limits, worker, grids
        self._users: dict[str, User] = {}

    def new_user(self) -> str:
        """The number of a new user."""
        name = secrets.token_urlsafe(32)
        self._users[name] = User()
        return name

    def knows(self, user: str) -> bool:
        """Whether this user is known; heard of just now, then."""
        if user not in self._users:
            return False
        self._users[user].seen = time.monotonic()
        return True

    def add(self, user: str, job: Job[Finished]) -> str:
        """Put a case into the queue and return its number, or raise `Full`."""
        self._worker.submit(job)
        mine, number = self._users[user].cases, secrets.token_urlsafe(24)
        mine[number] = job
        while len(mine) > self._limits.cases_each:
            self.remove(user, next(iter(mine)))
        everyone = sorted(self._users.items(), key=lambda item: item[1].seen)
        while sum(len(one.cases) for _, one in everyone) > self._limits.cases:
            name, longest = next((name, one) for name, one in everyone if one.cases)
            self.remove(name, next(iter(longest.cases)))
        return number

    def of(self, user: str, number: str) -> Job[Finished] | None:
        """The case, if it is this user's."""
        return self._users[user].cases.get(number)

    def remove(self, user: str, number: str) -> None:
        """Forget a case, whatever its state is."""
        job = self._users[user].cases.pop(number, None)
        if job is None:
            return
        if job.result is not None:
            self._grids.drop(job.result.chests)
        job.abandon()

    def forget_idle(self) -> None:
        """Remove the users who were not heard of for long, and their cases."""
        now = time.monotonic()
        for name in [name for name, one in self._users.items() if now - one.seen > self._limits.idle_s]:
            self.forget(name)

    def forget(self, user: str) -> None:
        """Remove a user and all cases."""
        for number in list(self._users[user].cases):
            self.remove(user, number)
        del self._users[user]

    def forget_all(self) -> None:
        """At the end."""
        for user in list(self._users):
            self.forget(user)
