"""The demo model, trained from nothing on synthetic images and a report grammar.

    images      -> what the service would show the model of each phantom, and what is true of it
    grammar    -> reports, questions and differential diagnoses in varied words
    corpus     -> the tokenizer, and texts as packed sequences of ids
    forward    -> the model's own layers, run so that gradients flow
    stages     -> labels, alignment, reports and questions: the three stages of the CXR-LLaVA paper
    checkpoint -> the published files

Everything that is learnt here is about phantoms. See MODEL_CARD.md beside the shipped checkpoint.
"""
