"""What time alone must do: the sweeper process and its parts."""
