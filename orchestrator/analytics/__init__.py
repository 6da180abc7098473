"""Analytics of broadcasts: who watched how long, how, from where, how well, without a row for anybody.

players' reports ──► recorder (each orchestrator) ──┐ one tally a broadcast and minute,
hub's counts ─────► recorder (the one on duty) ─────┴► additive ──► ledger (SQL) ──► hours after two days ──► forgotten
                                                                       └──► figures (API, CSV, console)
"""
