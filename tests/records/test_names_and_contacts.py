"""Names and dial strings that no phone could be rung for are told by their fault, and others are taken."""

from __future__ import annotations

import pytest

from callctl.errors import LocalProtocolError
from callctl.esl.commands import originate
from callctl.model import QueueSettings
from callctl.records.contacts import callback_complaint, contact_complaint, phones_of
from callctl.records.names import is_visit_key, name_complaint
from callctl.records.telephone_keys import key_complaint, keys_complaint, queue_complaints

pytestmark = pytest.mark.fault(17)

GOOD_NAMES = ["1001", "1001@default", "Anna O'Neil", "Łukasz, Dr.", 'a"b', "a\\b", "$x", "x:y", "y" * 100]
BAD_NAMES = [
    "",
    " ",
    " a",
    "a ",
    "a\nb",
    "a\x9bb",
    "a/b",
    ".",
    "..",
    "${x}",
    "a{b",
    "a}b",
    "a:_:b",
    "y" * 101,
]


@pytest.mark.parametrize("name", GOOD_NAMES)
def test_a_name_that_is_taken_can_be_dialled_for(name: str) -> None:
    assert name_complaint(name) is None
    originate(leg_uuid="u", dialstring="user/1", timeout=5, variables={"cc_agent": name, "cc_queue": name})


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_that_breaks_something_is_refused(name: str) -> None:
    assert name_complaint(name)


@pytest.mark.parametrize("name", ["${x}", "a{b", "a:_:b", "a\nb"])
def test_these_could_not_have_been_dialled_for(name: str) -> None:
    with pytest.raises(LocalProtocolError):
        originate(leg_uuid="u", dialstring="user/1", timeout=5, variables={"cc_agent": name})


@pytest.mark.parametrize(
    "contact",
    [
        "user/1001",
        "user/1001@default",
        " user/1001",
        "[leg_timeout=10]user/1000@default",
        "{a=1,b=2}{c=3}[d=4]user/1",
        "{origination_nested_vars=true,execute_on_answer='log ${uuid}'}user/1",
        "user/1,user/2|sofia/gateway/g/3",
        "sofia/internal/sip:1001@[2001:db8::1]:5060;transport=tcp",
        "loopback/1001/default",
        "error/USER_BUSY",
    ],
)
def test_a_dial_string_is_taken(contact: str) -> None:
    assert contact_complaint(contact) is None
    assert callback_complaint(f"{contact}{{number}}") is None


@pytest.mark.parametrize(
    "contact",
    [
        *("", " ", "1001", "user/", "/1001", "user/1\nuuid_kill 2", "user/1\x9b", "user/a:_:user/b"),
        *("user/${x}", "user/1@$${domain}", "user/a{b", "{a=1user/1", "[a=1user/1", "{a=1}", "user/1,"),
        "<a=1>user/1",
    ],
)
def test_a_dial_string_that_never_rings_is_refused(contact: str) -> None:
    assert contact_complaint(contact)


def test_in_brackets_commas_separate_variables() -> None:
    assert phones_of("{a=1,b=2}[c=3|d]user/1,user/2|user/3") == ["{a=1,b=2}[c=3|d]user/1", "user/2", "user/3"]


@pytest.mark.parametrize("key", ["", "1", "*", "#", "A"])
def test_a_key_is_one_of_a_telephone(key: str) -> None:
    assert key_complaint(key) is keys_complaint(key) is None


def test_several_keys_are_no_key() -> None:
    assert keys_complaint("1*") is None
    assert key_complaint("1*") == "must be a single key"
    assert "not 'x'" in str(keys_complaint("1x"))


@pytest.mark.parametrize(
    ("queue", "fields"),
    [
        ({"callback_key": "1", "callback_dialstring": "sofia/gateway/g/{number}", "exit_keys": "2*"}, []),
        (
            {"callback_key": "1", "callback_dialstring": "sofia/gateway/g/{number}", "exit_keys": "21"},
            ["callback_key"],
        ),
        ({"callback_key": "1"}, ["callback_key"]),
        ({"callback_key": "1", "callback_dialstring": "sofia/gateway/g/1"}, ["callback_dialstring"]),
        ({"callback_key": "1", "callback_dialstring": "{number}"}, ["callback_dialstring"]),
        ({"exit_keys": "1"}, []),
    ],
)
def test_the_keys_of_a_queue_do_not_contradict_each_other(queue: dict[str, str], fields: list[str]) -> None:
    assert [field for field, _ in queue_complaints(QueueSettings(name="q", **queue))] == fields  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("b1946ac9-2492-4d23-8a2e-0000000000aa", True),
        ("call-1", True),
        ("", False),
        ("a\nb", False),
        ("a{b", False),
        ("${x}", False),
        (":_:", False),
        ("a b", False),
        ("x" * 65, False),
    ],
)
def test_the_key_of_a_visit_is_a_plain_word(text: str, is_one: bool) -> None:
    assert is_visit_key(text) is is_one
