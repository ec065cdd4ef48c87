"""The advisory locks by which processes take turns: numbered in one place, so that no two are the same by chance."""

MIGRATION = 0x11FEC7C1E
IMPORT = MIGRATION + 1
PAYMENTS = MIGRATION + 2
"""Billing too: numbers without holes, no credit used twice."""
ERASURE = MIGRATION + 3
"""Held by a portion alone; shared by those who read names to write them."""
LEDGER = MIGRATION + 4
SWITCHES = MIGRATION + 5
RUNS = 0x11FD
"""With a run's id: held as long as its process lives. Two numbers, beside those of deliverers (outbox.py)."""
