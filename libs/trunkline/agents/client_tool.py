"""Tools that a call's client carries out itself, as it describes them.

Gateway and agent make their `Tool` of the same description, so that what the one lets through the other can use.
"""

import msgspec

from trunkline.agents.schema import GivenSchema
from trunkline.agents.tool import Tool
from trunkline.proto.errors import BadInput
from trunkline.proto.tool import DescribedTool

NO_PARAMETERS: dict[str, object] = {"type": "object", "properties": {}}


def client_tool(described: DescribedTool) -> Tool:
    """Raises BadInput for a name or for parameters that no tool can have."""
    try:
        parameters = msgspec.json.decode(described.parameters, type=dict[str, object])
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError) as error:
        problem = f"can't be read ({error})"
        raise BadInput(f"{described.name}: parameters", problem, "a JSON Schema of an object") from error
    return Tool(
        name=described.name,
        description=described.description,
        function=_at_the_client,
        signature=GivenSchema(described.name, parameters),
        runs="client",
    )


async def _at_the_client(**_: object) -> None:
    raise RuntimeError("the client carries this out")
