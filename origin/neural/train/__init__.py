"""Makes the shipped package of a person: pictures by our own renderer, a small net trained on them, and the folder that holds both."""
