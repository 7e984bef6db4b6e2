"""What a Xinference server takes and answers. Pure: no I/O, no clock, no threads, no framework."""
