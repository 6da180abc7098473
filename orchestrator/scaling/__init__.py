"""How many nodes each pool should have: signals for Kubernetes and for Auto Scaling groups, which start and end them."""
