"""The vision-language models; imports no other package of Wetread."""
