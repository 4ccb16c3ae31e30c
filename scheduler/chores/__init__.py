"""Work about processes, carried out by servers: a queue of procrastinate's, and what it does."""
