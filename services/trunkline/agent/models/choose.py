"""From the name in the settings to a model; plugins come by entry point and are imported only when asked for."""

from importlib.metadata import entry_points

from trunkline.agent.models.endpoint.chat import ChatWire
from trunkline.agent.models.endpoint.engine import EndpointModel
from trunkline.agent.models.endpoint.options import options_of
from trunkline.agent.models.endpoint.responses import ResponsesWire
from trunkline.agent.models.local import LocalModel
from trunkline.agent.models.pictures import Pictures
from trunkline.agent.models.scripted import ScriptedModel, load_script
from trunkline.agent.models.seam import Model
from trunkline.agent.settings import AgentSettings
from trunkline.proto.errors import BadSettings
from trunkline.record import FileStore

GROUP = "trunkline.model_engines"
BUILT_IN = ("local", "scripted", "responses", "chat")


def choose(settings: AgentSettings, files: FileStore | None = None) -> Model:
    """files: where pictures lie, for engines that show them; None: none can be shown. A plugin is called without
    arguments. Raises BadSettings."""
    match settings.engine_model:
        case "local":
            return LocalModel()
        case "scripted":
            return ScriptedModel(load_script(settings.model_script)) if settings.model_script else ScriptedModel()
        case "responses":
            options = options_of(settings)
            return EndpointModel(ResponsesWire(options), options, Pictures(files))
        case "chat":
            options = options_of(settings)
            return EndpointModel(ChatWire(options), options, Pictures(files))
        case name:
            return _plugin(name)


def _plugin(name: str) -> Model:
    plugins = entry_points(group=GROUP)
    if name not in plugins.names:
        allowed = ", ".join([*BUILT_IN, *sorted(plugins.names - set(BUILT_IN))])
        raise BadSettings("TRUNKLINE_ENGINE_MODEL", f"{name!r} is no model", allowed)
    model: Model = plugins[name].load()()
    return model
