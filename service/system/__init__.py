"""The operating system: child processes, signals, disk, memory, time zone."""
