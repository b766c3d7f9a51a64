"""A resume token names one call, and only who shares the secret can make one."""

import pytest

from trunkline.gateway.resume_token import ResumeTokens

CALL = "rtc_07_call"


def test_what_is_issued_at_one_gateway_is_taken_at_another_with_the_same_keys() -> None:
    token = ResumeTokens("", ["sk-a", "sk-b"]).issue(CALL)

    assert token.startswith("rtk_rtc_07_call.")
    assert ResumeTokens("", ["sk-b", "sk-a"]).verify(token) == CALL


@pytest.mark.parametrize(
    "token",
    [
        "",
        "rtk_",
        "rtk_rtc_07_call",
        "rtk_rtc_07_call.",
        "rtk_rtc_07_call.00",
        "rtc_07_call.00",
        "rtk_rtc_07_\udcff.\udcff",
        ResumeTokens("", ["sk-other"]).issue(CALL),
        ResumeTokens("", ["sk-a"]).issue(CALL).replace("07_call", "07_calm"),
        ResumeTokens("", ["sk-a"]).issue(CALL).removeprefix("rtk_"),
        ResumeTokens("", ["sk-a"]).issue("no call"),
    ],
)
def test_anything_else_is_no_token(token: str) -> None:
    assert ResumeTokens("", ["sk-a"]).verify(token) is None


def test_a_secret_of_its_own_outlives_a_change_of_keys() -> None:
    token = ResumeTokens("secret", ["sk-a"]).issue(CALL)

    assert ResumeTokens("secret", ["sk-new"]).verify(token) == CALL
    assert ResumeTokens("", ["sk-a"]).verify(token) is None
