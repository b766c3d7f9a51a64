"""The HTTP APIs of requests: each a class with `add_routes`, over the stages that serve calls."""
