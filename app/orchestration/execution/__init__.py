"""A run, from its claim to its end: containers started, followed, watched, measured and judged."""
