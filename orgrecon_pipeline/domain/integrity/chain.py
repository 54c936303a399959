"""The hash chain of a ledger: every piece of evidence has a link, which contains the hash of the previous link.

Whoever changes, removes, inserts or re-orders evidence must write every later link again. The new links then differ
from those that reports, gate answers and notifications have shown.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

from pydantic import Field

from orgrecon_pipeline.domain.canonical import canonical_json, sha256_of
from orgrecon_pipeline.domain.evidence import Frozen, LedgerId
from orgrecon_pipeline.domain.facts.described import Sha256
from orgrecon_pipeline.domain.identity import Identity

#: What a link is about: an observation with all its rows, the tenant gates that its report shows, a person's
#: acknowledgement, the result of one shard, or the redaction of a tenant.
LinkKind = Literal["observation", "ready_tenants", "acknowledgement", "shard_result", "redaction"]


class ChainHead(Frozen):
    """Position (from 1) and hash of a link. The hash pins all links up to this one."""

    position: int = Field(ge=1, description="Position of the link, from 1.")
    hash: Sha256 = Field(description="Hash of the link.")

    def __str__(self) -> str:
        return f"{self.position}:{self.hash}"


class Part(Frozen):
    """One table's rows of a piece of evidence: their number, and the SHA-256 of their canonical JSON array."""

    rows: int = Field(ge=0)
    sha256: Sha256


class Imported(Frozen):
    """The report that an observation was imported from, by its digest, with the ledger and link that it names."""

    report: Sha256
    ledger: LedgerId | None
    chain: ChainHead | None


class LinkEntry(Frozen):
    """The content of a link. Its hash is the SHA-256 of its canonical JSON.

    Attributes:
        ledger: the id of the ledger; a ledger that was rebuilt from reports has another one.
        previous: the hash of the link before it, None for the first.
        id: the id of the observation, or of the observation that the evidence belongs to; None if there is none.
        day: the day of that observation.
        content: the parts of the evidence, by name.
        imported: where an observation was imported from; None if this ledger made it.
    """

    chain: Literal[1] = 1
    ledger: LedgerId
    migration: str
    environment: str
    position: int = Field(ge=1)
    previous: Sha256 | None
    kind: LinkKind
    id: str | None
    day: str | None
    content: dict[str, Part]
    imported: Imported | None

    def text(self) -> str:
        """Return the entry as canonical JSON."""
        return canonical_json(self.as_json_value())

    def as_json_value(self) -> dict[str, Any]:
        """Return the entry under its public field names."""
        return self.model_dump(mode="json")

    @property
    def head(self) -> ChainHead:
        """The head of a chain that ends with this link."""
        return ChainHead(position=self.position, hash=sha256_of(self.as_json_value()))

    @property
    def subject(self) -> str:
        """What the link is about, in words."""
        return {
            "observation": f"observation {self.id} of {self.day}",
            "ready_tenants": f"the summary of tenant gates of {self.day}",
            "acknowledgement": "an acknowledgement",
            "shard_result": f"the result of a shard of {self.day}",
            "redaction": "a redaction",
        }[self.kind]


class StoredLink(NamedTuple):
    """A link as a ledger stores it, which may have been tampered with."""

    position: int
    hash: str
    entry: str

    @property
    def head(self) -> ChainHead:
        """The head of a chain that ends with this link."""
        return ChainHead(position=self.position, hash=self.hash)


class BrokenChain(Exception):
    """A stored link does not follow the one before it. The message is a sentence."""


def entry_after(previous: ChainHead | None, stored: StoredLink, ledger: str, identity: Identity) -> LinkEntry:
    """Return the entry of a stored link; raise BrokenChain if it does not follow the ``previous`` head."""
    position = previous.position + 1 if previous else 1
    if stored.position < position:
        raise BrokenChain(f"link {stored.position} cannot exist: it was inserted.")
    if stored.position > position + 1:
        raise BrokenChain(f"links {position} to {stored.position - 1} are missing: they were removed.")
    if stored.position > position:
        raise BrokenChain(f"link {position} is missing: it was removed.")
    try:
        entry = LinkEntry.model_validate_json(stored.entry)
    except ValueError:
        raise BrokenChain(f"link {position} was edited: its entry is not one that orgrecon wrote.") from None
    if entry.text() != stored.entry or entry.head.hash != stored.hash:
        raise BrokenChain(f"link {position} was edited: its entry does not have its hash.")
    if entry.previous != (previous.hash if previous else None):
        before = f"link {position - 1}" if previous else "the beginning of the chain"
        raise BrokenChain(f"link {position} does not follow {before}: links were removed, replaced or re-ordered.")
    if (entry.position, entry.ledger, entry.migration, entry.environment) != (
            position, ledger, identity.migration, identity.environment):
        raise BrokenChain(f"link {position} belongs to another ledger, migration or environment.")
    return entry


def imported_links(links: Iterable[StoredLink]) -> set[tuple[str | None, ChainHead]]:
    """Return the links that imported reports name, each with the id of its ledger."""
    imported = (LinkEntry.model_validate_json(link.entry).imported for link in links)
    return {(origin.ledger, origin.chain) for origin in imported if origin and origin.chain}
