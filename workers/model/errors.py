"""What can go wrong with a model, each with a sentence for the person who chose it.

ModelError
├── CheckpointError   the files are not the checkpoint that the loader was told to expect
├── DeviceError       the device is not there, or does not hold the model
├── GenerationError   the model computed something that is no text
├── EngineStopped     what computes the answers has ended or hangs; another may give this one
└── Cancelled         the caller no longer wants the answer
"""


class ModelError(Exception):
    """A model could not be loaded or did not answer."""


class CheckpointError(ModelError):
    """The files in the folder are not the checkpoint that the loader expects; names what differs."""


class DeviceError(ModelError):
    """The device is not there or has too little memory; says what would fit."""


class GenerationError(ModelError):
    """The model computed values that are no probabilities, or was asked for what it cannot do."""


class EngineStopped(ModelError):
    """The engine has ended, or the device has not answered for long; the question may be asked again."""


class Cancelled(ModelError):
    """The caller withdrew the question while the answer was being written."""
