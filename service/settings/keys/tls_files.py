"""The types of the keys that name PEM files, with their meaning for the reference of the settings."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

# Of a table whose connection Wetread opens.
Authorities = Annotated[
    Path | None,
    Field(
        description="PEM file of the authorities that its certificate must come from; absent: those of "
        "the system."
    ),
]
ClientCertificate = Annotated[
    Path | None,
    Field(
        description="PEM file of the client certificate for it and its chain; absent: none is sent."
    ),
]
ClientKey = Annotated[Path | None, Field(description="PEM file of that certificate's private key.")]
# Of a table whose port Wetread listens on.
ServerCertificate = Annotated[
    Path | None,
    Field(description="PEM file of its certificate and chain; a changed one is loaded at once."),
]
ServerKey = Annotated[Path | None, Field(description="PEM file of the certificate's private key.")]
