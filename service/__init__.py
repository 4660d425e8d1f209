"""The application and its database: configuration, jobs, store, web, command line."""
