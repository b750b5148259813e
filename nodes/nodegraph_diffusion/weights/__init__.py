"""Model files: reading, checking and writing the weights of every network."""
