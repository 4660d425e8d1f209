"""The subcommands of `wetread`, one module a noun."""
