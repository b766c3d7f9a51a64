"""Agents whose model gives a secret away, and what each verdict makes of it; an agent to hand over to."""

from trunkline.agents import (
    Agent,
    Approval,
    Check,
    Guardrail,
    Verdict,
    block,
    end,
    guardrail,
    hand_off,
    rewrite,
)

SECRET = "swordfish"


def secretive(verdict: Verdict) -> Guardrail:
    @guardrail(on="output", name="secretive")
    async def judge(check: Check) -> Verdict | None:
        return verdict if SECRET in check.text.lower() else None

    return judge


blocks = Agent("blocks", guardrails=[secretive(block("I can't say that."))])
blocks_whole = Agent("blocks-whole", guardrails=[secretive(block("I can't say that."))], approve="answer")
rewrites = Agent("rewrites", guardrails=[secretive(rewrite("The word is a secret. "))])
hands_off = Agent("hands-off", guardrails=[secretive(hand_off("other"))])
ends = Agent("ends", guardrails=[secretive(end("That is enough. Goodbye."))])
other = Agent("other", voice="second")
asks = Agent("asks", answer_approval=Approval(timeout_s=3.0, commentary="I have to ask a colleague.", again_s=0))
