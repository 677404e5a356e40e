"""What is sent back: an answer of moto's, perhaps changed, or an error in the service's own shape."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    kind: str = "text/xml"

    @classmethod
    def of_json(cls, value: Any) -> Answer:
        return cls(200, json.dumps(value).encode(), "application/json")


class RefusedError(Exception):
    """A call that AWS would refuse."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status

    def answer(self, service: str) -> Answer:
        code, message = escape(self.code), escape(self.message)
        error = f"<Code>{code}</Code><Message>{message}</Message>"
        if service == "ec2":
            body = f"<Response><Errors><Error>{error}</Error></Errors><RequestID>dc-1</RequestID></Response>"
        elif service == "ssm":
            told = {"__type": self.code, "message": self.message}
            return Answer(self.status, json.dumps(told).encode(), "application/x-amz-json-1.1")
        else:
            kind = "<Type>Sender</Type>"
            body = f"<ErrorResponse><Error>{kind}{error}</Error><RequestId>dc-1</RequestId></ErrorResponse>"
        return Answer(self.status, body.encode())
