"""Stand-ins for what tests want to hold in their hands."""


class FakeClock:
    """A clock that moves when told: `clock()` is Unix seconds."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds
