"""Webhooks: what happens is told to addresses of the operator's choice, signed, at least once.

change in SQL (broadcast, session, rollout) ─────┐  same transaction
observed (live, CDN, nodes, moves) ──► witness ──┼──► outbox: event, one delivery for each endpoint that wants it
finished recordings ─────────────────────────────┘                                │
                                                       courier (on duty) ◄────────┘  signed POST, tried again for a day
"""
