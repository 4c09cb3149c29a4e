"""The store of runs: a folder each, with records, lock, tags, trash, export and the ledger of test-set evaluations."""
