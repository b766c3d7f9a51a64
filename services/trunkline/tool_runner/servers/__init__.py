"""Tools of tool servers (MCP): connections that stay open, and what is believed of what a server says."""
