"""The vision-language models: torch and transformers only."""
