"""Subjects and ids: nothing a caller gives can bend a subject."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.bus.memory import matches
from trunkline.proto import ids, subjects


@given(st.text(max_size=140))
def test_no_text_makes_a_subject_of_another_shape(text: str) -> None:
    if ids.is_id(text):
        assert subjects.inbox("stt", "w", text).count(".") == 4
    else:
        with pytest.raises(ValueError, match="not a subject token"):
            subjects.inbox("stt", "w", text)


@given(st.integers(0, ids.SHARDS - 1))
def test_a_call_id_holds_its_shard(shard: int) -> None:
    call = ids.new_call_id(shard)

    assert ids.is_call_id(call)
    assert ids.shard_of(call) == shard
    assert subjects.record(call).split(".")[1] == f"{shard:02d}"


@pytest.mark.parametrize(
    "text", ["", "rtc_99_abc", "rtc_1_abc", "call_abc", "rtc_01_a.b", "rtc_01_a*", "rtc_01_" + "a" * 101]
)
def test_what_is_no_call_id_is_refused(text: str) -> None:
    assert not ids.is_call_id(text)
    with pytest.raises(ValueError, match="not a call id"):
        ids.shard_of(text)


@given(st.integers(0, ids.SHARDS - 1))
def test_an_approval_id_names_its_call(shard: int) -> None:
    call = ids.new_call_id(shard)

    assert ids.call_of_approval(ids.new_approval_id(call)) == call


@pytest.mark.parametrize(
    "text",
    ["", "appr_", "appr_x", "appr_99_abc_def", "call_00_abc_def", "appr_00_abc", "appr_00_a.b_c", "appr_00_abc_d>"],
)
def test_what_is_no_approval_id_names_no_call(text: str) -> None:
    assert ids.call_of_approval(text) == ""


def test_one_wildcard_hears_a_worker_and_the_tap_hears_a_call() -> None:
    call = ids.new_call_id(3)

    assert matches(subjects.worker_inboxes("stt", "w"), subjects.inbox("stt", "w", call))
    assert matches(subjects.worker_inboxes("stt", "w"), subjects.audio("stt", "w"))
    assert matches(subjects.live_tap(call), subjects.inbox("agent", "a", call))
    assert not matches(subjects.live_tap(call), subjects.audio("stt", "w"))


def test_agents_and_the_tap_hear_decisions_and_nobody_else_does() -> None:
    call = ids.new_call_id(3)

    assert matches(subjects.ALL_APPROVALS, subjects.approvals(call))
    assert matches(subjects.live_tap(call), subjects.approvals(call))
    assert not matches(subjects.ALL_TOOLS, subjects.approvals(call))
    assert not matches(subjects.ALL_APPROVALS, subjects.inbox("agent", "a", call))


def test_each_shard_has_a_stream_of_its_own() -> None:
    for shard in range(ids.SHARDS):
        call = ids.new_call_id(shard)
        taken_by = [
            n for n in range(ids.SHARDS) for p in subjects.stream_subjects(n) if matches(p, subjects.record(call))
        ]
        assert taken_by == [shard]
        assert any(matches(p, subjects.claim(call, "call_x")) for p in subjects.stream_subjects(shard))
