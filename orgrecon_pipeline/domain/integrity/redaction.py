"""Redaction of a tenant: a pseudonym replaces its name, others replace the keys of its rows, and values are removed."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_PREFIX = "redacted-"
_PSEUDONYM = re.compile(f"{_PREFIX}[0-9a-f]{{16}}")
# About 20 ms: a list of guesses takes time, and an import with many names still ends soon.
_SCRYPT = {"n": 2**13, "r": 8, "p": 1, "dklen": 32}


def is_pseudonym(name: str) -> bool:
    """Return whether a name is one that :class:`Redactor` writes."""
    return _PSEUDONYM.fullmatch(name) is not None


def pseudonyms_in(text: str) -> set[str]:
    """Return the pseudonyms of tenants and keys in a text."""
    return set(_PSEUDONYM.findall(text))


def name_hash(name: str, ledger: str) -> str:
    """Return the slow hash, salted with the id of the ledger, by which a ledger recognises a redacted name."""
    return hashlib.scrypt(name.encode("utf-8", "surrogatepass"), salt=ledger.encode(), **_SCRYPT).hex()


@dataclass(frozen=True)
class Redactor:
    """Replaces one tenant in everything that is stored about it.

    The same key always gets the same pseudonym, so that it is recognised on other days. Pseudonyms of keys depend on
    the ``secret``, which is random and never stored, so that nobody can guess the few possible values of a key.
    """

    name: str
    pseudonym: str
    secret: bytes = field(repr=False)

    @classmethod
    def of(cls, name: str, secret: bytes) -> Redactor:
        """Return the redactor of a tenant that has no pseudonym yet."""
        return cls(name, _pseudonym(secret, "tenant"), secret)

    def tenant(self, text: str) -> str:
        """Return the pseudonym for the tenant's name, and every other name as it is."""
        return self.pseudonym if text == self.name else text

    def key_value(self, text: str) -> str:
        """Return the pseudonym of one value of a key of the tenant."""
        return _pseudonym(self.secret, f"key {text}")

    def sentence(self, text: str) -> str:
        """Return a sentence of orgrecon, in which names are quoted, with the pseudonym."""
        for quoted in (f"{self.name!a}", f"'{self.name}'", f'"{self.name}"'):
            text = text.replace(quoted, f"{self.pseudonym!a}")
        return text

    def words(self, text: str) -> str:
        """Return a text that a person typed with the pseudonym wherever the name stands as a word."""
        if not self.name:
            return text
        return re.sub(rf"(?<!\w){re.escape(self.name)}(?!\w)", self.pseudonym, text, flags=re.IGNORECASE)

    def parameters(self, value: Any) -> Any:
        """Return the parameters of a reason, which quote names."""
        if isinstance(value, Mapping):
            return {name: self.parameters(part) for name, part in value.items()}
        if isinstance(value, list | tuple):
            return [self.parameters(part) for part in value]
        return self.sentence(value) if isinstance(value, str) else value

    def subject(self, text: str) -> str:
        """Return a text such as ``tenant acme``."""
        return f"tenant {self.pseudonym}" if text == f"tenant {self.name}" else text

    def compared(self, compared: dict[str, Any]) -> dict[str, Any]:
        """Return how a comparison was made, which names tenants only in its coverage."""
        facts = compared.get("coverage")
        return {**compared, "coverage": self._coverage(facts)} if isinstance(facts, dict) else compared

    def change(self, change: dict[str, Any]) -> dict[str, Any]:
        """Return a change of the drift, which names the first tenant with the oldest drift."""
        return {**change, "oldest": {entity: self._of_tenant(oldest) if oldest else oldest
                                     for entity, oldest in change["oldest"].items()}}

    def ready_tenants(self, figures: dict[str, Any]) -> dict[str, Any]:
        """Return tenant gates, which name the nearest tenants and those with most drift."""
        return {name: [self._of_tenant(listed) for listed in value] if isinstance(value, list) else value
                for name, value in figures.items()}

    def acknowledged(self, details: dict[str, Any]) -> dict[str, Any]:
        """Return the details of an acknowledgement, which list what was lost."""
        return {**details, "lost": [self.subject(text) for text in details["lost"]]} if "lost" in details else details

    def sample(self, sample: dict[str, Any]) -> dict[str, Any]:
        """Return a sample as JSON values: of this tenant with pseudonyms as its key, and without values."""
        if sample["tenant"] != self.name:
            return sample
        key = {column: self.key_value(text) for column, text in sample["key"].items()}
        return {**sample, "tenant": self.pseudonym, "key": key, "values": None, "show": None}

    def _of_tenant(self, value: dict[str, Any]) -> dict[str, Any]:
        return {**value, "tenant": self.tenant(value["tenant"])}

    def _coverage(self, facts: dict[str, Any]) -> dict[str, Any]:
        replaced = dict(facts)
        for name in ("lost", "never_seen", "acknowledged"):
            if name in facts:
                replaced[name] = [self.subject(text) for text in facts[name]]
        if "left" in facts:
            replaced["left"] = [self.tenant(text) for text in facts["left"]]
        if "renamed" in facts:
            replaced["renamed"] = [[self.tenant(text) for text in pair] for pair in facts["renamed"]]
        return replaced


def _pseudonym(secret: bytes, text: str) -> str:
    digest = hmac.new(secret, text.encode("utf-8", "surrogatepass"), hashlib.sha256)
    return f"{_PREFIX}{digest.hexdigest()[:16]}"
