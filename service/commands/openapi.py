"""`wetread openapi`."""

import click

from service.web.app import ROUTES
from service.web.openapi.application import openapi_text
from service.web.openapi.mount import api_routes


@click.command()
def openapi() -> None:
    """Print the OpenAPI description of the JSON API, as docs/openapi.json has it."""
    click.echo(openapi_text(api_routes(ROUTES)), nl=False)
