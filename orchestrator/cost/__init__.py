"""What it costs: the cheapest machines for a forecast (exact), and the bill of streams, sessions, broadcasts and films."""
