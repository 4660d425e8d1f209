"""The subcommands that run a process of the service, or all of them."""
