"""Situations to decide about, and a world in which decisions have consequences."""

from math import inf

from analytics.scaling import crowding
from analytics.scaling.deciding import decide
from analytics.scaling.decision import State
from analytics.scaling.settings import ScalingSettings
from analytics.scaling.situation import Limit, Pool, Situation, Work

NOW = 1_800_000_000.0
"""Some 16 hours before midnight, UTC."""
GMAIL, OTHER = ("main", "gmail"), ("main", "other")
SETTINGS = ScalingSettings(min_senders=0, max_senders=50)


def work(mails=0.0, *, campaign="spring", minutes=60.0, **more):
    """A campaign with so many mails for everybody else, to be done in so many minutes."""
    lanes = more.pop("lanes", {OTHER: mails} if mails else {})
    return Work(campaign=campaign, deadline=more.pop("deadline", NOW + minutes * 60), lanes=lanes, **more)


def situation(*works, alive=0, rate=2_000.0, sessions=20, now=NOW, **more):
    pools = more.pop("pools", {"main": Pool(rate=rate, sessions=sessions, measured=True)})
    return Situation(now=now, alive=alive, pools=pools, works=works, **more)


def decided(*works, settings=SETTINGS, state=None, **more):
    """The decision alone."""
    return decide(situation(*works, **more), settings, State() if state is None else state)[0]


class World:
    """Senders that come late, lanes that take only so much, and a controller that does what is decided. Time goes in steps."""

    def __init__(
        self, mails, *, rate, minutes=60.0, settings=SETTINGS, lanes=None, assumed=None, start_seconds=60.0, relay=inf
    ):
        """`mails` by lane; `lanes` says what they take, mails per second, and `relay` what all take together, though nobody says
        so. `rate` is what a sender could send; `assumed` what is thought before it works."""
        self.now = NOW
        self.left = dict(mails)
        self.deadline = NOW + minutes * 60
        self.done_at = inf
        self.wanted = []
        """At each step."""
        self.reasons = []
        self._rate = rate
        self._known = assumed or rate
        self._settings = settings
        self._lanes = lanes or {}
        self._relay = relay
        self._crowd = None
        self._start_seconds = start_seconds
        self._starting = []
        self._alive = 0
        self._state = State()

    def run(self, seconds, step=10.0):
        for _ in range(int(seconds / step)):
            self._send(step)
            self.now += step
            self._scale()

    def _send(self, seconds):
        power = min(self._alive * self._rate, self._relay) * seconds
        if power:
            self._known = power / seconds / self._alive
        for lane, left in self.left.items():
            sent = min(left, power, self._lanes.get(lane, inf) * seconds)
            self.left[lane], power = left - sent, power - sent
        if not any(self.left.values()):
            self.done_at = min(self.done_at, self.now + seconds)

    def _scale(self):
        full = self._alive * self._known if self._alive and any(self.left.values()) else None
        self._crowd = crowding.follow(self._crowd, self._alive, full, self.now)
        limits = {f"{pool}.{provider}": Limit(rate=rate) for (pool, provider), rate in self._lanes.items()}
        limits["main"] = Limit(rate=self._crowd.limit)
        lanes = {lane: left for lane, left in self.left.items() if left}
        seen = situation(
            *([work(lanes=lanes, deadline=self.deadline)] if lanes else []),
            alive=self._alive,
            rate=crowding.sender_rate(self._crowd) or self._known,
            now=self.now,
            limits=limits,
        )
        decision, self._state = decide(seen, self._settings, self._state)
        self.wanted.append(decision.wanted)
        self.reasons.append(decision.reason)
        self._obey(decision.wanted)

    def _obey(self, wanted):
        self._alive += sum(1 for ready in self._starting if ready <= self.now)
        self._starting = [ready for ready in self._starting if ready > self.now]
        more = wanted - self._alive - len(self._starting)
        self._starting += [self.now + self._start_seconds] * max(0, more)
        if more < 0:
            del self._starting[more:]
            self._alive = min(self._alive, wanted - len(self._starting))
