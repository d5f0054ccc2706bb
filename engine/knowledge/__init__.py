"""Notes that answers can be based on: taken in, searched, put before the question."""
