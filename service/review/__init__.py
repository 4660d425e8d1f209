"""A person's decision on a draft: sentences, answers, verdicts, edits and figures. No database."""
