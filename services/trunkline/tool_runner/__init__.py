"""The tool runner: carries out tool calls of all agents of one agent file, each contained in itself."""
