"""A client's session names an agent: told once, whatever it repeats, and not again over what came of it."""

from trunkline.gateway.casting import Casting
from trunkline.proto.record import HandedOff
from trunkline.proto.response import Summon
from trunkline.record import CallView


def casting() -> tuple[Casting, list[str]]:
    told: list[str] = []

    def tell(summon: Summon) -> None:
        told.append(summon.agent)

    made = Casting(tell)
    made.attached("frontdesk")
    return made, told


def test_the_calls_own_agent_is_not_summoned_under_any_of_its_names() -> None:
    cast, told = casting()

    for name in ("", "frontdesk", ""):
        cast.wish(name)

    assert told == []


def test_another_agent_is_summoned_once_and_the_calls_own_again_after_it() -> None:
    cast, told = casting()

    for name in ("nightdesk", "nightdesk", "billing", "", "frontdesk"):
        cast.wish(name)

    assert told == ["nightdesk", "billing", "frontdesk"]


def seen(*agents: str) -> CallView:
    view = CallView("rtc_00_x")
    for number, agent in enumerate(agents):
        view.apply(HandedOff(number, "", agent))
    return view


def test_at_the_next_gateway_only_what_never_came_to_pass_is_told_again() -> None:
    first, told_first = casting()
    first.go_on(seen("nightdesk", "billing"))
    first.wish("nightdesk")
    second, told_second = casting()
    second.go_on(seen())
    second.wish("nightdesk")

    assert (told_first, told_second) == ([], ["nightdesk"])
    first.wish("billing")  # the client's word from now on
    assert told_first == ["billing"]
