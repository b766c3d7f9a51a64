"""Tools that the agent itself carries out: they change the call, and need no tool runner.

    desk = Agent("desk", tools=[end_call(), transfer_call({"billing": "+4930555", "sales": "+4930556"})])

Like any other tool they run only once the turn stands, the answer wasn't superseded, and policy and approvals agreed.
"""

from collections.abc import Mapping, Sequence

from trunkline.agents.approval import Approval
from trunkline.agents.handoff import Handoff
from trunkline.agents.schema import GivenSchema, JsonSchema
from trunkline.agents.tool import Tool
from trunkline.proto.errors import BadInput

END_CALL = "end_call"
TRANSFER_CALL = "transfer_call"
HANDOFF = "handoff"
FAREWELL, TARGET, SUMMARY, REASON = "farewell", "target", "summary", "reason"


def end_call(*, name: str = END_CALL, description: str = "", approval: Approval | None = None) -> Tool:
    """The model ends the call: once its last words are heard, and not if the caller speaks before."""
    described = description or "End the call: the caller says goodbye, or has nothing else to ask."
    farewell = {"type": "string", "description": "The last words to the caller, if none were said yet."}
    return _control(END_CALL, name, described, {FAREWELL: farewell}, (), approval)


def transfer_call(
    targets: Mapping[str, str] | Sequence[str],
    *,
    name: str = TRANSFER_CALL,
    description: str = "",
    approval: Approval | None = None,
) -> Tool:
    """The model asks that the caller be connected elsewhere: recorded as a request, with a summary for who answers.

    targets: names that the model may choose from, or names with addresses (numbers, queues). Raises BadInput.
    """
    if isinstance(targets, str) or not targets or not all(isinstance(one, str) and one for one in targets):
        raise BadInput(f"{name}: targets", f"is {targets!r}", "one or more names, or names with addresses")
    described = description or "Connect the caller to a person, or to another line."
    properties: JsonSchema = {
        TARGET: {"type": "string", "enum": list(targets)},
        SUMMARY: {"type": "string", "description": "What the caller wants, in a sentence, for who takes over."},
    }
    return _control(TRANSFER_CALL, name, described, properties, (TARGET,), approval, addresses=targets)


def handoff_tool(handoff: Handoff, described: str) -> Tool:
    """described: the agent itself, where the handoff says nothing of it; "" for by its name alone."""
    properties: JsonSchema = {REASON: {"type": "string", "description": "Why, in a few words."}}
    description = handoff.description or described or f"Hand the caller over to {handoff.to}."
    return _control(HANDOFF, handoff.name, description, properties, (), None)


def handed_over(to: str) -> str:
    """What the model of the agent that has the call now reads of the handoff."""
    return f"You are {to} now, and have the call."


def address_of(tool: Tool, target: str) -> str:
    """Of a transfer's target; the name itself where there is no other."""
    addresses: object = tool.function(target)
    return addresses if isinstance(addresses, str) else target


def _control(
    kind: str,
    name: str,
    description: str,
    properties: JsonSchema,
    required: Sequence[str],
    approval: Approval | None,
    addresses: Mapping[str, str] | Sequence[str] = (),
) -> Tool:
    schema: JsonSchema = {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }
    known = dict(addresses) if isinstance(addresses, Mapping) else {}

    def carried_out_by_the_agent(target: str = "") -> str:
        return known.get(target, target)

    return Tool(
        name=name,
        description=description,
        function=carried_out_by_the_agent,
        signature=GivenSchema(name, schema),
        approval=approval,
        runs="agent",
        control=kind,
    )
