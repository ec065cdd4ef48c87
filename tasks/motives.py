"""The motives that the form of contact-customer offers: those in the database, and no other is taken."""

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentUpdate
from prefect.exceptions import ObjectNotFound

from lifecycle.persistence.contact_customer import choices
from lifecycle.persistence.database import transaction
from lifecycle.rules.contact_customer import NO_MOTIVE

_DEPLOYMENT = "contact-customer/contact-customer"


@task(cache_policy=NO_CACHE, retries=3, retry_delay_seconds=2)
def refresh_motives() -> None:
    """Offer the motives of now in the form of the server that this run belongs to."""
    with get_client(sync_client=True) as client:
        offer_motives(client)


def offer_motives(client: SyncPrefectClient) -> None:
    """Write the motives into the deployment's parameter schema, of which the form is made; without it, do nothing.

    Forms show the values of a choice and not their titles: these stand in the description below it.
    """
    try:
        deployment = client.read_deployment_by_name(_DEPLOYMENT)
    except ObjectNotFound:
        return
    with transaction() as db:
        offered = choices(db)
    schema = deployment.parameter_openapi_schema or {}
    titles = "; ".join(map(str, offered))
    schema["properties"]["motive"] |= {
        "enum": [NO_MOTIVE, *(choice.motive.code for choice in offered)],
        "description": f"Why it is done without a valid consent: {titles}.",
    }
    client.update_deployment(deployment.id, DeploymentUpdate(parameter_openapi_schema=schema))
