"""The command line: one file per command, each parses, calls workflow and prints."""

from intarsia.cli.app import main

__all__ = ["main"]
