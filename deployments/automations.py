"""Whom the Prefect server tells of runs that want a person.

Only the server can: where no worker is left, none of our processes is there to say so. An automation is ours by how
its name begins; those that `prefect.yaml` makes as triggers of deployments have other names and are left alone.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import cast
from uuid import UUID

from prefect.blocks.notifications import SlackWebhook
from prefect.client.orchestration import SyncPrefectClient
from prefect.events.actions import SendNotification
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.exceptions import ObjectNotFound
from pydantic import SecretStr

from deployments.deploy import POOL, TAG

PREFIX = "lifecycle: "
BLOCK = "lifecycle-alarm"

_RUN = {"prefect.resource.id": "prefect.flow-run.*"}
_TAGGED = {"prefect.resource.id": f"prefect.tag.{TAG}", "prefect.resource.role": "tag"}
_DEPLOYMENT = "related:deployment:prefect.resource.id"

# No message of a state and no parameter: both can repeat what somebody typed.
_TEXT = """\
{{ flow.name }}: {{ flow_run.state.name }}, {{ event.occurred.strftime("%Y-%m-%d %H:%M") }} UTC
{{ flow_run|ui_url }}

"""


def apply(client: SyncPrefectClient, url: SecretStr | None) -> None:
    """Make the server's automations with our prefix equal to what is written here; `url` is where people are told.

    What is equal already is not touched: a change would make the server forget which runs it listens to. One that was
    switched off stays so. Without a URL nobody is told anything, and what told people before is removed.
    """
    told = tell_people(_keep_address(url)) if url else ()
    wanted = {automation.name: automation for automation in told}
    for automation in client.read_automations():
        if not automation.name.startswith(PREFIX):
            continue
        if automation.name not in wanted:
            client.delete_automation(automation.id)
            continue
        new = wanted.pop(automation.name)
        new.enabled = automation.enabled
        if _content(automation) != _content(new):
            client.update_automation(automation.id, new)
    for new in wanted.values():
        client.create_automation(new)
    if url is None:
        _forget_address(client)


def _content(automation: AutomationCore) -> dict[str, object]:
    return automation.model_dump(include={"description", "trigger", "actions"})


def tell_people(block: UUID) -> Iterator[AutomationCore]:
    """Who looks after the runs is told of these, through that notification block."""

    def told(name: str, description: str, trigger: EventTrigger, subject: str, text: str) -> AutomationCore:
        notification = SendNotification(block_document_id=block, subject=f"lifecycle: {subject}", body=text)
        return _automation(name, description, trigger, notification)

    hour = timedelta(hours=1)
    yield told(
        "failed",
        "A run failed; at most one alarm an hour for each deployment.",
        _state("Failed", "TimedOut", for_each=_DEPLOYMENT, within=hour),
        "{{ flow_run.name }} failed",
        f"{_TEXT}Why is in the run's summary, among its artifacts, and in its log.",
    )
    yield told(
        "crashed",
        "A run's process died; at most one alarm an hour for each deployment.",
        _state("Crashed", for_each=_DEPLOYMENT, within=hour),
        "{{ flow_run.name }} crashed",
        f"{_TEXT}Its process died. Nothing is done twice when it is run again.",
    )
    yield told(
        "waiting",
        "A run waits for a person.",
        _state("Suspended", for_each="prefect.resource.id"),
        "{{ flow_run.name }} waits for a person",
        f"{_TEXT}Look at its summary, among its artifacts; then choose Resume in the run's menu and decide.",
    )
    yield told(
        "late",
        "Runs do not start; at most one alarm in six hours, whatever is late.",
        # Each of them would be one alarm more: where nothing starts there are hundreds a day.
        _state("Late", within=timedelta(hours=6)),
        "{{ flow_run.name }} does not start",
        f"{_TEXT}Others may be late as well. Is a worker there, is the work pool paused, are all of its places taken?",
    )
    yield told(
        "no worker",
        "The work pool's last worker is gone.",
        _no_worker(),
        "no worker",
        "No worker reports to the work pool {{ work_pool.name }}, "
        '{{ event.occurred.strftime("%Y-%m-%d %H:%M") }} UTC: no run starts.\n{{ work_pool|ui_url }}',
    )


def _automation(name: str, description: str, trigger: EventTrigger, action: SendNotification) -> AutomationCore:
    return AutomationCore(name=PREFIX + name, description=description, enabled=True, trigger=trigger, actions=[action])


def _state(*names: str, for_each: str = "", within: timedelta = timedelta(0)) -> EventTrigger:
    """A run of ours comes into one of these states: once `within` that time, for each value of that label."""
    return EventTrigger(
        posture=Posture.Reactive,
        match=_RUN,
        match_related=_TAGGED,
        for_each={for_each} if for_each else set(),
        expect={f"prefect.flow-run.{name}" for name in names},
        within=within,
    )


def _no_worker() -> EventTrigger:
    return EventTrigger(
        posture=Posture.Reactive,
        match={"prefect.resource.id": "prefect.work-pool.*", "prefect.resource.name": POOL},
        expect={"prefect.work-pool.not-ready"},
    )


def _keep_address(url: SecretStr) -> UUID:
    """Write the URL where the server finds it: in a block, encrypted with a key that is in the same database."""

    # The server can only load blocks of classes that it has itself, each made for one service. That for Slack hands
    # to Apprise whatever is no address of Slack's, as it is: so any service of Apprise's, mail included, can be told.
    return cast(UUID, SlackWebhook(url=SecretStr(_as_text(url.get_secret_value()))).save(BLOCK, overwrite=True))


def _as_text(url: str) -> str:
    """The same address; a mail would be HTML otherwise, where our lines run together and the link is none."""
    if not url.startswith(("mailto://", "mailtos://")) or "format=" in url:
        return url
    return f"{url}{'&' if '?' in url else '?'}format=text"


def _forget_address(client: SyncPrefectClient) -> None:
    try:
        block = client.read_block_document_by_name(BLOCK, SlackWebhook.get_block_type_slug())
    except ObjectNotFound:
        return
    client.delete_block_document(block.id)
