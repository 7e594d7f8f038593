"""The fuzzer finds nothing in a few inputs, and would say so if it did."""

from __future__ import annotations

import random

import pytest

from callctl.esl.wire import Decoder
from tests.esl import fuzz


def test_a_few_damaged_recordings_break_nothing():
    source, corpus = random.Random(1), fuzz.seeds()
    for _ in range(100):
        fuzz.check(fuzz.damaged(source.choice(corpus), source, corpus))


def test_a_decoder_that_depends_on_the_cuts_is_found(monkeypatch):
    def forgetful(self: Decoder, data: bytes) -> None:
        self._buffer[:] = data

    monkeypatch.setattr(Decoder, "receive_data", forgetful)
    with pytest.raises(AssertionError, match="cut"):
        fuzz.check(max(fuzz.seeds(), key=len))
