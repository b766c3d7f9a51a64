"""The life of a service process: settings, bus, beats, health, signals, drain."""
