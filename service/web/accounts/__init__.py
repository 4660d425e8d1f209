"""The pages of accounts: the own one, those of all people, and tokens of programs."""
