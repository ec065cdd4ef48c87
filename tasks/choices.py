"""What forms offer to choose from: what is in the database, and nothing else is taken."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentUpdate
from prefect.exceptions import ObjectNotFound

from lifecycle.persistence import action_types, operators
from lifecycle.persistence.contact_customer import choices
from lifecycle.persistence.database import transaction
from lifecycle.rules.contact_customer import NO_MOTIVE
from lifecycle.rules.membership_withdrawal import BASE_TYPE

NOBODY = "nobody"
"""Stands for no operator where one is chosen from a list."""

_OFFERED = ("motives", "action_types", "operators")


def are_changed(imported: Counter[str]) -> bool:
    """Whether an import changed what forms offer, by what it counted."""
    return any(imported[f"{what} {how}"] for what in _OFFERED for how in ("new", "changed"))


@task(cache_policy=NO_CACHE, retries=3, retry_delay_seconds=2)
def refresh_choices() -> None:
    """Offer what there is now in the forms of the server that this run belongs to."""
    with get_client(sync_client=True) as client:
        offer_choices(client)


def offer_choices(client: SyncPrefectClient) -> None:
    """Write what there is to choose from into the deployments' parameter schemas, of which the forms are made.

    Forms show the values of a choice and not their titles: these stand in the description below it. Of our own people
    only the codes do.
    """
    with transaction() as db:
        motives, ours = choices(db), [operator.code for operator in operators.listed(db)]
        withdrawals = action_types.of_base_type(db, BASE_TYPE)
    why = f"Why it is done without a valid consent: {'; '.join(map(str, motives))}."
    codes = [NO_MOTIVE, *(choice.motive.code for choice in motives)]
    _offer(client, "contact-customer", {"motive": {"enum": codes, "description": why}})
    titles = "; ".join(f"{code} ({title})" for code, title in withdrawals.items())
    # A choice of nothing is no schema: before there are any, the form takes what the run then refuses.
    action_type = {"enum": list(withdrawals), "description": f"The CRM action type: {titles}."} if withdrawals else {}
    operator = {"enum": ours} if ours else {}
    assigned_to = {"enum": [NOBODY, *ours]}
    _offer(
        client,
        "membership-withdrawal",
        {"action_type": action_type, "operator": operator, "assigned_to": assigned_to},
    )


def _offer(client: SyncPrefectClient, flow: str, offered: Mapping[str, Mapping[str, Any]]) -> None:
    """Write this about parameters into the schema of that flow's deployment; without it, do nothing."""
    try:
        deployment = client.read_deployment_by_name(f"{flow}/{flow}")
    except ObjectNotFound:
        return
    schema = deployment.parameter_openapi_schema or {}
    for name, about in offered.items():
        schema["properties"][name] |= about
    client.update_deployment(deployment.id, DeploymentUpdate(parameter_openapi_schema=schema))
