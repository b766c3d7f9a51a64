"""How many examples a property is tried with: `make check` tries some, `make test` many."""

from hypothesis import HealthCheck, settings

# No deadline: how long an example takes is told by the machine, not by the code.
settings.register_profile("test", max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("check", settings.get_profile("test"), max_examples=30)
settings.load_profile("test")
