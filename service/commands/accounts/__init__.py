"""The subcommands of accounts of people and tokens of programs."""
