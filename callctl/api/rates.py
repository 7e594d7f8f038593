"""Token buckets: how often each client may do something, for as many clients as come. Pure; time is given."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Hashable

from attrs import define, frozen

MOST_BUCKETS = 10_000
"""How many clients are remembered. One who is forgotten begins with a full bucket, which helps nobody who has
fewer addresses than that."""


@frozen
class Rate:
    """`per_second` in the long run, and up to `burst` at once."""

    per_second: float
    burst: float


@define
class _Bucket:
    level: float
    filled_at: float


class Buckets:
    """A bucket for each key, which fills with time and from which each request takes."""

    def __init__(self, rate: Rate, most: int = MOST_BUCKETS) -> None:
        """`most` is how many keys are remembered; those used last stay."""
        self._rate = rate
        self._most = most
        self._buckets: OrderedDict[Hashable, _Bucket] = OrderedDict()

    def take(self, key: Hashable, now: float, amount: float = 1.0) -> float:
        """Take from the bucket of `key`, and return 0; or take nothing, and return the seconds to wait."""
        bucket = self._filled(key, now)
        if bucket.level >= amount:
            bucket.level -= amount
            return 0.0
        return (amount - bucket.level) / self._rate.per_second

    def charge(self, key: Hashable, now: float, amount: float) -> None:
        """Take from the bucket of `key` what may be more than is in it: nothing is left for a while then."""
        bucket = self._filled(key, now)
        bucket.level = max(-self._rate.burst, bucket.level - amount)

    def _filled(self, key: Hashable, now: float) -> _Bucket:
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = _Bucket(self._rate.burst, now)
            if len(self._buckets) > self._most:
                self._buckets.popitem(last=False)
            return bucket
        self._buckets.move_to_end(key)
        gained = (now - bucket.filled_at) * self._rate.per_second
        bucket.level, bucket.filled_at = min(self._rate.burst, bucket.level + gained), now
        return bucket


def retry_after(seconds: float) -> str:
    """Return the value of a Retry-After header: whole seconds, at least one."""
    return str(max(1, math.ceil(seconds)))
