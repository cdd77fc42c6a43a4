"""One search on disk: its identity, its ledger, its directory, and who may write to it."""
