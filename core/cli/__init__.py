"""The command line: one module per group of commands, each command one function that returns an Outcome."""
