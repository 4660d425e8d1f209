"""The surveillance report of a period: volume, performance, drift, incidents, alerts and actions."""

from service.quality.document import Document, DocumentKind
from service.quality.inputs import Inputs
from service.quality.performance import performance
from service.quality.vigilance import actions, drift, incidents
from service.quality.volume import volume


def surveillance(inputs: Inputs) -> Document:
    """Return the report.

    Raises:
        StoreError: The database cannot be used.
    """
    volumes, volume_values = volume(inputs)
    performances, performance_values = performance(inputs)
    drift_section, drift_values = drift(inputs)
    incident_section, incident_values = incidents(inputs)
    action_section, action_values = actions(inputs)
    return Document(
        kind=DocumentKind.SURVEILLANCE,
        name=DocumentKind.SURVEILLANCE.value,
        title="Surveillance report",
        facts=(
            ("Period", f"{inputs.period.words}, days of the site's time zone"),
            (
                "Drafts made",
                ", ".join(
                    f"{each.drafts} by {each.model} {each.version}" for each in inputs.models_used
                )
                or "none",
            ),
        ),
        sections=(*volumes, *performances, drift_section, incident_section, action_section),
        values={
            "period": {"first": f"{inputs.period.first}", "last": f"{inputs.period.last}"},
            "volume": volume_values,
            "performance": performance_values,
            "drift_alerts": drift_values,
            **incident_values,
            "actions": action_values,
        },
    )
