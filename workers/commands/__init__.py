"""The subcommands of `wetread` that need `workers`; a table of their names, modules and descriptions.

Importing this package loads no torch: the command line reads the table to print its help, and the
settings compare `reading.model` with the names of `MODELS`, and `wetread settings` and `check` judge a
profile by `PROFILE_FAULT`. The search for studies reads findings in a query by `LABELER`.
"""

from workers.model.names import MODELS

__all__ = ["COMMANDS", "LABELER", "MODELS", "PROFILE_FAULT"]

# The function that states what is wrong with the profile of a name or path: module and name.
PROFILE_FAULT = "workers.model.profiles.load:profile_fault"

# The function that returns the findings that a text states: module and name.
LABELER = "workers.labeller.findings:label"

COMMANDS = {
    "evaluate": (
        "workers.commands.evaluate:evaluate",
        "Measure the model on your own studies, against labels or reports.",
    ),
    "final-reports": (
        "workers.commands.final_reports:final_reports",
        "Import final reports, and list what they were matched with.",
    ),
    "judge": ("workers.commands.judge:judge", "Count the errors of drafts with a language model."),
    "experiment": (
        "workers.commands.experiment:experiment",
        "Compare prompts and temperatures on your own studies.",
    ),
    "label": ("workers.commands.label:label", "Convert report text to structured findings."),
    "load-model": ("workers.commands.load_model:load_model", "Load a model and print what it is."),
    "pin-model": (
        "workers.commands.pin_model:pin_model",
        "Record the digests of a checkpoint's files.",
    ),
    "profile": (
        "workers.commands.profile:profile",
        "List, print or check profiles of models.",
    ),
    "read": ("workers.commands.read:read", "Read DICOM files without any server."),
    "recall": ("workers.commands.recall:recall", "Withdraw every draft of one model."),
    "search": (
        "workers.commands.search:search",
        "Search studies by words or by an image; rebuild the vectors.",
    ),
    "train-demo": (
        "workers.commands.train_demo:train_demo",
        "Train the demo model on synthetic images, on the CPU.",
    ),
    "worker": ("workers.commands.worker:worker", "Run a worker: reads studies, sends results."),
}
