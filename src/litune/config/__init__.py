"""The typed config: its schema, its files, and how a command line becomes one."""
