"""What the path of a recording may hold, and what it becomes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callctl.records.record_template import (
    NOTHING,
    PLACEHOLDERS,
    from_callcenter,
    record_template_complaint,
    recording_path,
)

NOW = 1_796_000_000.0
"""2026-11-30 00:53:20 UTC."""


@pytest.mark.parametrize(
    "template",
    [
        "",
        "/rec/{call}.wav",
        "/rec/%Y/%m/%d/{queue}-{agent}-{caller_name}-{uuid}.wav",
        "/rec/100%%/{dialled_number}.mp3",
        "http_cache://store/{account}/{call}.wav",
    ],
)
def test_a_path_of_what_is_known_may_be_recorded_to(template: str) -> None:
    assert record_template_complaint(template) is None


@pytest.mark.fault(12)
@pytest.mark.parametrize(
    ("template", "complaint"),
    [
        ("/rec/${uuid}.wav", "without ${…}"),
        ("/rec/${strftime(%Y)}.wav", "without ${…}"),
        ("$${recordings_dir}/{call}.wav", "without ${…}"),
        ("/rec/{cal}.wav", "knows no {cal}; there are {account}, {agent}"),
        ("/rec/{}.wav", "knows no {}"),
        ("/rec/{call.wav", "must close each brace"),
        ("/rec/call}.wav", "must close each brace"),
        ("/rec/%Q-{call}.wav", "knows no %Q"),
        ("/rec/%D/{call}.wav", "knows no %D"),
        ("/rec/{call}.wav%", "knows no %"),
        ("rec/{call}.wav", "must be an absolute path"),
        ("/rec/../{call}.wav", "must not lead out"),
        ("/rec/{call}", "must end in a file's name"),
        ("/rec/.wav", "must end in a file's name"),
        ("/rec/{call}\n.wav", "one line"),
    ],
)
def test_what_would_be_wrong_on_the_disk_is_refused(template: str, complaint: str) -> None:
    assert complaint in (record_template_complaint(template) or "")


def values(**changed: str) -> dict[str, str]:
    return {name: name for name in PLACEHOLDERS} | changed


def test_values_and_the_time_stand_in_the_path() -> None:
    template = "/rec/%Y-%m-%d/{queue}-{caller_number}.wav"
    path = recording_path(template, values(queue="sales", caller_number="+4930"), NOW)
    assert path == "/rec/2026-11-29/sales-+4930.wav" or path == "/rec/2026-11-30/sales-+4930.wav"


@pytest.mark.fault(12)
@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("../../etc/cron.d/x", "______etc_cron_d_x"),
        (".hidden", "_hidden"),
        ("Zoë Ü", "Zoë_Ü"),
        ("{agent}%Y${uuid}", "_agent__Y__uuid_"),
        ("a\n\x9b\u202eb", "a___b"),
        ("", NOTHING),
        ("x" * 300, "x" * 60),
    ],
)
def test_what_a_caller_chose_is_one_safe_part_of_a_name(name: str, part: str) -> None:
    assert recording_path("/rec/{caller_name}.wav", values(caller_name=name), NOW) == f"/rec/{part}.wav"


@given(st.text())
def test_no_name_leads_to_another_folder(name: str) -> None:
    path = recording_path("/rec/{caller_name}.wav", values(caller_name=name), NOW)
    assert path.count("/") == 2
    assert path.count(".") == 1
    assert len(path.rpartition("/")[2].encode()) < 255


@pytest.mark.fault(12)
@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (
            "/rec/${strftime(%Y-%m-%d-%H-%M-%S)}.${destination_number}.${caller_id_number}.${uuid}.wav",
            "/rec/%Y-%m-%d-%H-%M-%S.{dialled_number}.{caller_number}.{uuid}.wav",
        ),
        (
            "/rec/${cc_queue}/100%/${cc_agent}-${caller_id_name}.mp3",
            "/rec/{queue}/100%%/{agent}-{caller_name}.mp3",
        ),
        ("/rec/plain.wav", "/rec/plain.wav"),
        ("/rec/${my_variable}.wav", None),
        ("/rec/${strftime(%c)}.wav", None),
        ("${uuid}.wav", None),
    ],
)
def test_mod_callcenters_template_is_translated_or_refused(theirs: str, ours: str | None) -> None:
    assert from_callcenter(theirs) == ours
