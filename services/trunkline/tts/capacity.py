"""What a call costs this stage's engine, tried with a typical sentence."""

from trunkline.runtime.capacity import DUTY_S, cpu_cost
from trunkline.tts.engines.port import Synthesiser
from trunkline.tts.render import render

SENTENCE = "Your order is on its way and will be there on Tuesday morning."  # twelve words


def cost_of(engine: Synthesiser) -> float:
    """CPU seconds of a call, per second of it. The engine is warm. Blocks for a second or two at most."""
    spoken_s = cpu_cost(lambda: sum(1 for _ in render(engine, SENTENCE, 1.0)), cpu_s=getattr(engine, "cpu_s", None))
    return spoken_s / DUTY_S
