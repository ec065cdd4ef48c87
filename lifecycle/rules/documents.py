"""The kinds of documents that runs leave for people under the home, and what becomes of each when somebody is erased.

No other document is kept: whatever writes one says of which kind it is. `lifecycle erasure plan` prints this.
"""

import re
from datetime import date
from enum import Enum, StrEnum


class DocumentFate(StrEnum):
    """What an erasure does to the documents that there are of a kind."""

    MADE_ANEW = "made anew: the same figures, with the unknown customer"
    REMOVED = "removed: it can be made anew"
    REMOVED_WITH_ITS_ROW = "removed where it names somebody who is erased, as what its table holds of it"
    KEPT = "kept: it holds codes and figures"


class Document(Enum):
    """A kind of document: how it is named, what it holds, its fate."""

    OPEN_CARDS = (
        "open-cards-{}.xlsx",
        "names of customers with open cards, credit or suspended services, and texts of payments that nobody assigned",
        DocumentFate.MADE_ANEW,
    )
    APPOINTMENTS = "appointments-{}-{}.xlsx", "names of customers with their appointments", DocumentFate.MADE_ANEW
    WITHDRAWALS = (
        "withdrawals-{}-{}-as-of-{}.xlsx",
        "names of customers with the memberships that they withdrew from",
        DocumentFate.MADE_ANEW,
    )
    CERTIFICATE = "erasure-{}-{}.pdf", "what an erasure did, in figures, and who approved it", DocumentFate.KEPT
    CONSENTS = "consents-{}.xlsx", "codes of customers, and what they consented to, in figures", DocumentFate.KEPT
    MAILING_LIST = "mailings/{}-{}-{}.csv", "codes of customers, and whether a mailing went to them", DocumentFate.KEPT
    COLLECTION = (
        "collections/{}",
        "names, accounts and amounts of those who are charged, for the bank; cards for the payment provider",
        DocumentFate.REMOVED_WITH_ITS_ROW,
    )
    EXAMPLE = "examples/{}", "reports and cards that the demo shows, with names", DocumentFate.REMOVED

    def __init__(self, pattern: str, holds: str, fate: DocumentFate) -> None:
        self.pattern, self.holds, self.fate = pattern, holds, fate

    def named(self, *about: object) -> str:
        """The name of the one about these days, codes or names; `/` separates folders."""
        return self.pattern.format(*about)

    def days(self, name: str) -> list[date] | None:
        """The days that a document of this kind is about, by its name; None: it is not of this kind.

        Only for kinds that are about days alone.
        """
        found = re.fullmatch(re.escape(self.pattern).replace(r"\{\}", r"(\d{4}-\d\d-\d\d)"), name)
        return [date.fromisoformat(day) for day in found.groups()] if found else None

    @property
    def all(self) -> str:
        """All of this kind, as a pattern for files."""
        return self.pattern.replace("{}", "*")
