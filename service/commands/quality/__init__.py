"""The subcommands of decisions, reader studies and documents for the quality department."""
