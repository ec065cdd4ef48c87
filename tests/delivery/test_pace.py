"""The pace, on a clock that only goes on when somebody waits or takes time."""

from dataclasses import dataclass
from itertools import pairwise

from lifecycle.delivery.pace import Pace


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += seconds


def leaving(clock: Clock, per_minute: int, seconds: float, takes: float = 0.0) -> list[float]:
    """When each of as many as there can be leaves."""
    pace, moments = Pace(per_minute, seconds, clock, clock.pass_by), []
    while pace.turn():
        moments.append(round(clock.now, 6))
        clock.pass_by(takes)
        pace.left()
    return moments


def test_they_leave_evenly_spaced_and_never_more_than_the_rate() -> None:
    moments = leaving(Clock(), 600, 240)
    assert len(moments) == 2_400
    assert moments[:3] == [0.1, 0.2, 0.3]


def test_what_takes_long_is_not_made_up() -> None:
    assert leaving(Clock(), 60, 10, takes=2.5) == [1, 4.5, 8]


def test_started_again_and_again_the_rate_is_kept() -> None:
    clock, moments = Clock(), []
    for _ in range(100):
        moments += leaving(clock, 60, 1.3)
    assert all(later - earlier >= 1 for earlier, later in pairwise(moments))


def test_nobody_waits_for_a_turn_that_comes_too_late() -> None:
    clock = Clock()
    assert leaving(clock, 1, 59) == []
    assert clock.now == 0
