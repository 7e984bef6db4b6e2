"""Code that the server loads from a model's folder, where a family brings its own: toys that see words and colours."""
