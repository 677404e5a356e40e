"""A real mail server that keeps what it takes: where the installation of the tests sends its mail."""

from __future__ import annotations

import email
import email.policy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiosmtpd.controller import Controller

from .waiting import wait_for

if TYPE_CHECKING:
    from email.message import EmailMessage

    from aiosmtpd.smtp import SMTP, Envelope, Session


@dataclass
class MailServer:
    port: int
    taken: list[EmailMessage] = field(default_factory=list)
    controller: Controller | None = None

    async def handle_DATA(  # noqa: N802, the server calls it so
        self, _server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        content = envelope.content
        assert isinstance(content, bytes)
        self.taken.append(email.message_from_bytes(content, policy=email.policy.default))
        return "250 taken"

    def start(self) -> MailServer:
        self.controller = Controller(self, hostname="127.0.0.1", port=self.port)
        self.controller.start()
        return self

    def stop(self) -> None:
        if self.controller is not None:
            self.controller.stop()
            self.controller = None

    def mail_to(self, address: str, seconds: float = 60) -> EmailMessage:
        """The newest one to this address, when it came."""
        wait_for(f"mail to {address}", lambda: bool(self._to(address)), seconds)
        return self._to(address)[-1]

    def _to(self, address: str) -> list[EmailMessage]:
        return [mail for mail in self.taken if mail["To"] == address]


def text(mail: EmailMessage, kind: str = "plain") -> str:
    body = mail.get_body((kind,))
    assert body is not None, mail.as_string()
    content = body.get_content()
    assert isinstance(content, str)
    return content
