"""What both bridges share: parameters, constructor keywords, sampling fields. Knows no framework."""
