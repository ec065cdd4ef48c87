"""An even pace, for what must not leave in bursts."""

from collections.abc import Callable
from time import monotonic, sleep


class Pace:
    """So many a minute at the most, evenly spaced, for so many seconds.

    The first one waits as well, and what took long is not made up: whoever is killed and started again does not exceed
    the rate either.
    """

    def __init__(
        self,
        per_minute: int,
        seconds: float,
        clock: Callable[[], float] = monotonic,
        wait: Callable[[float], None] = sleep,
    ) -> None:
        self._space = 60 / per_minute
        self._clock, self._wait = clock, wait
        self._next = clock() + self._space
        self._end = clock() + seconds

    def turn(self) -> bool:
        """Wait until the next one may leave. False, at once: not before the end."""
        if max(self._next, self._clock()) > self._end:
            return False
        if (ahead := self._next - self._clock()) > 0:
            self._wait(ahead)
        return True

    def left(self) -> None:
        """One has left."""
        self._next = max(self._next, self._clock()) + self._space
