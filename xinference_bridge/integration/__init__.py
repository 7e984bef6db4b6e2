"""Code that both bridges share: parameters, constructor keywords, sampling fields. Independent of any framework."""
