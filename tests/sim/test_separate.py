"""The text of a command falls apart as in FreeSWITCH, with and without quotes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from callctl.sim.separate import separate

PLAIN = st.text(alphabet="ab =,", min_size=1, max_size=12)


def test_quotes_and_escapes_are_taken_away() -> None:
    assert separate(r"a=1,b='two, three',c=4\,5", ",") == ["a=1", "b=two, three", "c=4,5"]


def test_the_last_part_that_there_is_room_for_takes_the_rest() -> None:
    assert separate("name=a=b", "=", 2) == ["name", "a=b"]
    assert separate("name='a=b'", "=", 2) == ["name", "a=b"]


def test_spaces_around_a_part_and_nothing_after_the_last_delimiter_are_left_out() -> None:
    assert separate(" a , b,", ",") == ["a", "b"]


@given(PLAIN, st.sampled_from((2, 3, 1024)))
def test_a_plain_text_falls_apart_like_one_with_an_escape(text: str, limit: int) -> None:
    escaped = [part.removeprefix("'") for part in separate(rf"\'{text}", ",", limit)]
    assert separate(f"x{text}", ",", limit) == ["x" + escaped[0], *escaped[1:]]
