"""The orchestrator's decisions in virtual time: join storms, audiences, days of demand. The same code decides."""
