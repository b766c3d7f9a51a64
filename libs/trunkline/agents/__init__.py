"""What a person imports to write an agent; an agent is a Python file that makes an `Agent`.

    from typing import Annotated

    import msgspec

    from trunkline.agents import Agent, tool

    Order = Annotated[str, msgspec.Meta(pattern=r"^\\d{4}$", description="The four digits of the order.")]

    @tool(commentary="One moment, I am looking up order {order}.")
    async def order_status(order: Order) -> str:
        '''Where is my order: status and delivery of an order.'''
        return f"Order {order} arrives tomorrow."

    shop = Agent("shop", instructions="Help callers with their orders.", tools=[order_status], greeting="Hello!")

Start it with `trunkline up --agent FILE.py`. Nothing here knows a service, the bus or a model: a tool is called
and an agent is looked at in a plain unit test; `trunkline.agents.testing` talks to one.
"""

from trunkline.agents.agent import Agent
from trunkline.agents.approval import Approval
from trunkline.agents.call import CallContext
from trunkline.agents.context import ToolContext
from trunkline.agents.control import end_call, transfer_call
from trunkline.agents.guardrail import Check, Guardrail, Verdict, allow, block, end, guardrail, hand_off, rewrite
from trunkline.agents.handoff import Handoff, Said, drop_tools, handoff
from trunkline.agents.hooks import Hooks
from trunkline.agents.load import AgentFile, load_agent_file
from trunkline.agents.settings import Duration, Fillers, ModelSettings, Silence
from trunkline.agents.tool import FunctionTool, Tool, tool
from trunkline.agents.toolserver import McpServer, ToolServer

__all__ = [
    "Agent",
    "AgentFile",
    "Approval",
    "CallContext",
    "Check",
    "Duration",
    "Fillers",
    "FunctionTool",
    "Guardrail",
    "Handoff",
    "Hooks",
    "McpServer",
    "ModelSettings",
    "Said",
    "Silence",
    "Tool",
    "ToolContext",
    "ToolServer",
    "Verdict",
    "allow",
    "block",
    "drop_tools",
    "end",
    "end_call",
    "guardrail",
    "hand_off",
    "handoff",
    "load_agent_file",
    "rewrite",
    "tool",
    "transfer_call",
]
