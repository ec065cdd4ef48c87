"""A business with customers in every state of consent, and mailings to them, for tests."""

from collections import Counter
from collections.abc import Iterable
from datetime import date
from pathlib import Path

import pytest

from lifecycle.rules.languages import LOCALES
from lifecycle.rules.segment import Segment
from lifecycle.settings import settings
from tasks import mailing
from tasks.delivery import deliver_bulk, take_stock
from tasks.import_records import import_files
from tasks.mailing import Order, Outcomes
from tests.sweeping import at, started

DAY = date(2090, 3, 10)
"""Yet to come: the gate is asked for this day when a mail is sent, and not for the day of the test."""
EVERYBODY = Segment()
SECRET = "sixteen characters"

RECORDS = {
    "resellers": "code,name,email,locale,phone\n"
    "R1,Reseller One,r1@example.org,it,+39 1\nR2,Reseller Two,r2@example.org,en,\n",
    "customers": "code,kind,name,email,country,locale\n"
    "MARIO,person,Mario Rossi,mario@example.com,IT,it\n"
    "ELENI,person,Ελένη Βλάχου,eleni@example.com,GR,el\n"
    "AMELIA,company,Smith & Sons,amelia@example.com,GB,en\n"
    "NOBODY,person,No Body,nobody@example.com,IT,\n"
    "LAPSED,person,La Psed,lapsed@example.com,IT,it\n"
    "GONE,person,Gone Away,gone@example.com,IT,it\n"
    "LEAVE,person,Leave Mealone,leave@example.com,IT,it\n"
    "MUTE,person,Mute Box,,IT,it\n"
    "ONLYME,person,Only Me,onlyme@example.com,IT,it\n",
    "consent_types": "code,title,valid_days,allows_bulk,allows_single\n"
    "news,Newsletter,365,true,true\noffers,Offers,,true,false\nsingle,Single mails,,false,true\n",
    "consents": "customer,consent_type,granted_on,withdrawn_on\n"
    "MARIO,news,2090-01-01,\nELENI,offers,2020-01-01,\nAMELIA,news,2090-03-10,\n"
    "LAPSED,news,2089-03-10,\nGONE,news,2090-01-01,2090-03-10\nLEAVE,news,2090-01-01,\nMUTE,news,2090-01-01,\n"
    "ONLYME,single,2090-01-01,\n",
    "objections": "customer,channel,objected_on\nLEAVE,bulk,2090-02-01\n",
    "associations": "reseller,customer,from_on,until_on\n"
    "R1,MARIO,2020-01-01,\nR1,ELENI,2020-01-01,2090-03-09\nR2,AMELIA,2090-03-11,\n",
    "products": "code,name,policy,period_months,price,currency,vat_rate\n"
    "LIC,Licence,licence,12,100,EUR,22\nHOST,Hosting,service,12,100,EUR,22\n",
    "subscriptions": "code,customer,product,starts_on,expires_on\n"
    "M-LIC,MARIO,LIC,2089-03-11,2090-03-10\nM-HOST,MARIO,HOST,2089-03-10,2090-03-09\n"
    "E-LIC,ELENI,LIC,2089-03-10,2090-03-09\nN-LIC,NOBODY,LIC,2089-03-10,2090-03-09\n",
}


def business(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation with these records, which may send mailings, as fast as it can."""
    monkeypatch.setenv("LIFECYCLE_UNSUBSCRIBE_SECRET", SECRET)
    monkeypatch.setenv("LIFECYCLE_POLICY__BULK_PER_MINUTE", "60000")
    settings.cache_clear()
    folder = home / "records"
    folder.mkdir()
    for name, content in RECORDS.items():
        (folder / f"{name}.csv").write_text(content)
    import_files.fn(folder, at(DAY), dry_run=False)


def write(home: Path, text: str = "Good day", *, name: str = "spring", locales: Iterable[str] = LOCALES) -> None:
    """A mailing in these languages."""
    folder = home / "mailings" / name
    folder.mkdir(parents=True, exist_ok=True)
    for locale in locales:
        (folder / f"{locale}.subject").write_text(f"News in {locale}\n")
        (folder / f"{locale}.txt").write_text(
            f"{text} {{{{ customer_name }}}}, {{{{ today }}}}, {{{{ reseller_name }}}}\n"
        )
        (folder / f"{locale}.html").write_text(f"<p>{text}</p>\n")


def run(
    segment: Segment = EVERYBODY, *, name: str = "spring", day: date = DAY, dry_run: bool = False
) -> tuple[Outcomes, list[str]]:
    """A whole run as the flow does it. Returns its outcomes, and the lines of its list."""
    order = Order(name, segment, day, started("mailing-run", day), dry_run)
    mailing.begin.fn(order)
    portions, outcomes = mailing.cut.fn(), Outcomes()
    for portion in portions:
        outcomes.add(mailing.queue.fn(portion, order))
    _, *lines = mailing.join_lists.fn(order, portions).read_text().splitlines()
    return outcomes, lines


def deliver(day: date = DAY, seconds: float = 60) -> Counter[str]:
    """Deliver mailings as if on `day`."""
    take_stock.fn()
    return deliver_bulk.fn(at(day), seconds)
