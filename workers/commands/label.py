"""`wetread label`: turns report text into structured findings."""

import json
from typing import Any, TextIO

import click

from dicom.content.report import Finding
from service.errors import ConfigurationError
from workers.labeller.findings import label as label_text


@click.command()
@click.argument("file", type=click.File("r", encoding="utf-8"), default="-")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def label(file: TextIO, *, as_json: bool) -> None:
    """Convert report text to structured findings.

    FILE (or standard input) holds one report as text, or a JSON array of reports.
    """
    texts, several = _texts(file.read())
    results = [{"findings": [_plain(finding) for finding in label_text(text)]} for text in texts]
    if as_json:
        click.echo(json.dumps(results if several else results[0], ensure_ascii=False))
        return
    for result in results:
        for finding in result["findings"]:
            side = f" ({finding['side']})" if finding["side"] else ""
            click.echo(f"{finding['name']}: {finding['state']}{side}")


def _texts(content: str) -> tuple[list[str], bool]:
    if not content.lstrip().startswith("["):
        return [content], False
    try:
        texts = json.loads(content)
    except json.JSONDecodeError:
        return [content], False  # report text may begin with a bracket
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ConfigurationError("label: a JSON input must be an array of strings")
    return texts, True


def _plain(finding: Finding) -> dict[str, Any]:
    return {
        "name": finding.observation.value,
        "state": finding.presence.value,
        "side": finding.side.value if finding.side else None,
        "site": finding.site,
        "sentence": finding.sentence,
    }
