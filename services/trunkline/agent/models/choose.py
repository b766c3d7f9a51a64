"""From the name in the settings to a model; plugins come by entry point and are imported only when asked for."""

from importlib.metadata import entry_points

from trunkline.agent.models.local import LocalModel
from trunkline.agent.models.scripted import ScriptedModel, load_script
from trunkline.agent.models.seam import Model
from trunkline.proto.errors import BadSettings

GROUP = "trunkline.models"
BUILT_IN = ("local", "scripted")


def choose(name: str, script: str = "") -> Model:
    """script: path for `scripted`, "" for its fixed reply. A plugin is called without arguments. Raises BadSettings."""
    if name == "local":
        return LocalModel()
    if name == "scripted":
        return ScriptedModel(load_script(script)) if script else ScriptedModel()
    plugins = entry_points(group=GROUP)
    if name not in plugins.names:
        allowed = ", ".join([*BUILT_IN, *sorted(plugins.names - set(BUILT_IN))])
        raise BadSettings("TRUNKLINE_ENGINE_MODEL", f"{name!r} is no model", allowed)
    model: Model = plugins[name].load()()
    return model
