"""The HTTP surface of the orchestrator: one file a resource, thin handlers, one table of routes that OpenAPI is made of."""
