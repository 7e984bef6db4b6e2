"""The forms in which models write tool calls into their text, each read as the server's own parser reads it. Pure."""
