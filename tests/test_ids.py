"""New identifiers are UUIDs of version 4, and come again with the same seed."""

from __future__ import annotations

import uuid
from random import Random

from callctl.ids import Ids


def test_an_identifier_is_what_the_uuid_module_makes_of_the_same_bits() -> None:
    ids, bits = Ids(Random(7)), Random(7)
    for _ in range(1000):
        assert ids.uuid() == str(uuid.UUID(int=bits.getrandbits(128), version=4))


def test_identifiers_of_the_operating_system_are_never_the_same() -> None:
    ids = Ids()
    made = {ids.uuid() for _ in range(1000)}
    assert len(made) == 1000
    assert {uuid.UUID(each).version for each in made} == {4}


def test_no_identifier_comes_twice_however_many_are_drawn() -> None:
    ids = Ids()
    drawn = [ids.uuid() for _ in range(1000)]
    assert len(set(drawn)) == len(drawn)
    assert all(uuid.UUID(each).version == 4 for each in drawn)
