"""The subcommands of `wetread`, one module a noun."""

from typing import Final

# Entry points of the tables that other packages add to the command line: `workers` is one.
TABLES: Final = "wetread.commands"
