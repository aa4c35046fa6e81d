"""Backups: one tar with the database, the key if it is wanted, and the logs, in a file or a bucket."""
