"""CheXprompt, where a language model counts a draft's errors: prompt, replies, figures."""
