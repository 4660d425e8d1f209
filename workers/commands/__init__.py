"""The subcommands of `wetread` that need the compute."""
