"""Who may ask, and who is asking: a token on this machine, a proxy's word in front of it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

PERSON_HEADER = "x-forwarded-email"
_COOKIE = "spark_ml_audit"
_MOST_NAME = 200
_LOOPBACK = {"127.0.0.1", "localhost", "[::1]", "::1"}


@dataclass(frozen=True)
class Access:
    """The rule of who gets in.

    Attributes:
        token: What a browser must show: in the address once, in a cookie from then on, or in the header
            Authorization. Empty behind a proxy that signs people in: its header is asked for instead.
        port: Cookies know no ports: it tells those of two pages on one machine apart.
        is_loopback: Whether the page is for this machine alone: other host names are refused then, so that
            no page elsewhere reaches it under a name of its own.
        who: Person where no proxy says.
    """

    token: str
    port: int
    is_loopback: bool
    who: str

    @property
    def cookie(self) -> str:
        """Name of the cookie."""
        return f"{_COOKIE}_{self.port}"

    def admits(self, headers: Mapping[str, str], cookies: Mapping[str, str], told: str | None) -> bool:
        """Whether a request may be answered.

        >>> access = Access("s3cret-s3cret-s3", 8765, True, "ann")
        >>> access.admits({}, {"spark_ml_audit_8765": "s3cret-s3cret-s3"}, None)
        True
        >>> access.admits({"authorization": "Bearer forged"}, {}, None), access.admits({}, {}, "")
        (False, False)
        """
        if not self.token:
            return bool(headers.get(PERSON_HEADER, "").strip())
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        shown = (told, cookies.get(self.cookie), bearer)
        return any(secrets.compare_digest(text.encode(), self.token.encode()) for text in shown if text)

    def is_right_host(self, host: str) -> bool:
        """Whether the host name of a request is one of this machine, where it must be."""
        return not self.is_loopback or (urlsplit(f"//{host}").hostname or "") in {
            "127.0.0.1",
            "localhost",
            "::1",
        }

    def is_own_origin(self, origin: str | None, headers: Mapping[str, str]) -> bool:
        """Whether a request that changes something comes from a page of ours.

        A proxy that signs people in says which host was asked; another page cannot say it for a browser.
        """
        hosts = {headers.get("host", "")} | (
            {headers.get("x-forwarded-host", "")} if not self.token else set()
        )
        return origin is None or urlsplit(origin).netloc in hosts - {""}

    def person(self, headers: Mapping[str, str]) -> str:
        """Who asks: what a proxy says, else the person at this machine.

        >>> Access("", 80, False, "app").person({"x-forwarded-email": "Ann@example.com "})
        'Ann@example.com'
        """
        told = "".join(char for char in headers.get(PERSON_HEADER, "") if char.isprintable()).strip()
        return told[:_MOST_NAME] or self.who


def is_loopback(host: str) -> bool:
    """Whether an address is for this machine alone.

    >>> is_loopback("127.0.0.1"), is_loopback("0.0.0.0")
    (True, False)
    """
    return host in _LOOPBACK or host.startswith("127.")
