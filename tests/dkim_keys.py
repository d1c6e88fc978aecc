"""Keys and mails for tests of DKIM, and what dkimpy says of a signed mail."""

import time
from functools import cache

import dkim

from sender.dkim import keys
from sender.dkim.signature import Signer
from sender.settings import DkimKeys

DOMAIN = "example.com"
NOW = int(time.time())
"""dkimpy believes no clock but the machine's."""


@cache
def made(algorithm):
    """One key of each kind is enough for all tests: RSA takes its time."""
    return keys.generate(DOMAIN, f"test-{algorithm}", algorithm)


def settings(*algorithms):
    values = {}
    for algorithm in algorithms or keys.ALGORITHMS:
        values[f"{algorithm}_selector"] = f"test-{algorithm}"
        values[f"{algorithm}_private_key"] = made(algorithm).pem.decode()
    return DkimKeys(**values)


@cache
def signer(*algorithms):
    return Signer(DOMAIN, [key.signing for key in keys.load(DOMAIN, settings(*algorithms))])


def texts():
    """What DNS says."""
    return {made(algorithm).record.name: made(algorithm).record.text for algorithm in keys.ALGORITHMS}


def dkimpy_verdicts(message, published=None):
    """Whether dkimpy finds each signature good, from the top."""
    found = texts() if published is None else published

    def dns(name, timeout=5):
        return found.get(name.decode().rstrip("."), "").encode() or None

    checked = dkim.DKIM(message)
    count = sum(name.lower() == b"dkim-signature" for name, _ in checked.headers)
    return [_holds(dkim.DKIM(message), place, dns) for place in range(count)]


def _holds(checked, place, dns):
    try:
        return checked.verify(place, dnsfunc=dns)
    except dkim.DKIMException:
        return False
