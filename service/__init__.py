"""The application and its memory: configuration, jobs, store, web, command line."""
