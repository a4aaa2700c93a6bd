"""A running stack seen from outside: through kubectl and forwarded ports, as a user of it sees it."""
