"""The subcommands of `wetread`, one module per noun."""
