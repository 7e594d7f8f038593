"""What follows from an event waits until the event is dealt with."""

from __future__ import annotations

from functools import partial

import pytest

from callctl.call.agenda import Agenda


def test_what_an_action_adds_is_done_after_it_and_after_all_that_was_due_before() -> None:
    agenda, done = Agenda(), []

    def first() -> None:
        agenda.add(partial(done.append, "consequence"))
        done.append("first")

    with agenda:
        agenda.add(first)
        agenda.add(partial(done.append, "second"))
        assert done == []
    assert done == ["first", "second", "consequence"]


def test_nothing_is_done_inside_a_block_that_stands_in_another() -> None:
    agenda, done = Agenda(), []
    with agenda:
        with agenda:
            agenda.add(partial(done.append, "a"))
        assert done == []
    assert done == ["a"]


def test_an_action_is_done_at_once_where_nothing_else_is() -> None:
    agenda, done = Agenda(), []
    agenda.add(partial(done.append, "a"))
    assert done == ["a"]


def test_after_an_error_in_a_block_what_was_due_is_done() -> None:
    agenda, done = Agenda(), []

    def fail() -> None:
        with agenda:
            agenda.add(partial(done.append, "a"))
            raise ValueError("a mistake")

    with pytest.raises(ValueError, match="a mistake"):
        fail()
    agenda.add(partial(done.append, "b"))
    assert done == ["a", "b"]
