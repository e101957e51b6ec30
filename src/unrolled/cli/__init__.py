"""The command line: one file a verb. Nothing here imports torch before it is needed."""
