"""The agent service: owns the conversation of each placed call, folded from its record."""
