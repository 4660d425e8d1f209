"""The errors of a model; each message is a sentence for the person who chose the model.

ModelError
├── CheckpointError   the files are not the checkpoint that the loader expects
├── DeviceError       the device is missing, or too small for the model
├── GenerationError   the computed values are not finite, or the request cannot be answered
├── EngineStopped     the engine has ended or hangs; another engine may answer the request
└── Cancelled         the caller withdrew the request
"""


class ModelError(Exception):
    """A model could not be loaded or did not answer."""


class CheckpointError(ModelError):
    """The files in the folder are not the checkpoint that the loader expects; names what differs."""


class DeviceError(ModelError):
    """The device is missing or has too little memory; the message says what would fit."""


class GenerationError(ModelError):
    """The model computed values that are not finite, or the request cannot be answered."""


class EngineStopped(ModelError):
    """The engine has ended, or the device has not answered for long; the request may be repeated."""


class Cancelled(ModelError):
    """The caller withdrew the request before its answer was complete."""
