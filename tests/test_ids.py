"""New identifiers are UUIDs of version 4, and come again with the same seed."""

from __future__ import annotations

import uuid
from random import Random

from callctl.ids import Ids, is_leg_of


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


def test_the_uuid_of_a_leg_tells_whose_it_is() -> None:
    ids = Ids(Random(7)).of_owner("0123456789abcdef")
    leg = ids.leg_uuid()
    assert leg[:9] == "01234567-"
    assert uuid.UUID(leg).version == 4
    assert is_leg_of("0123456789abcdef", leg)
    assert not is_leg_of("fedcba9876543210", leg)
    assert is_leg_of("", leg), "where nobody has a name, every leg may be ours"
    assert ids.leg_uuid() != leg
