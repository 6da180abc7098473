"""`avacast speech`: instances of the speech services, an nginx before them, and what keeps them alive."""
