"""From a model's answer to the content of a draft: agreement, probabilities, regions of findings."""
