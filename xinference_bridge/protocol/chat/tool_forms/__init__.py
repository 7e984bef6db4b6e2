"""The text formats of tool calls. Each is parsed like in the server's own parser. Pure."""
