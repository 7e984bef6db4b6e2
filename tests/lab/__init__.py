"""Each model of the lab by one plain request: what it is good for, before anything of ours reads it."""
