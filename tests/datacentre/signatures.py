"""Verifies signatures as AWS does: with the secret of a known key, over what was sent."""

from __future__ import annotations

import datetime
import re
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from moto.core.utils import utcnow
from moto.sts.models import sts_backends

from datacentre.answers import RefusedError
from datacentre.call import Call

# Whom the test data centre knows from the beginning.
OWN_ACCOUNT = "123456789012"
OWN_KEY, OWN_SECRET = "AKIADATACENTRE", "secret-of-the-data-centre"
PARTS = re.compile(r"SignedHeaders=([^,]+), ?Signature=(\w+)")


def verify(call: Call) -> None:
    parts = PARTS.search(call.headers.get("authorization", ""))
    if not parts:
        raise RefusedError("MissingAuthenticationToken", "The request is not signed", 403)
    date = call.headers.get("x-amz-date", "")
    _within_minutes(date)
    signed = {name: call.headers.get(name, "") for name in parts[1].split(";")}
    request = AWSRequest(method=call.method, url=call.url, data=call.body, headers=signed)
    request.context["timestamp"] = date
    signer = SigV4Auth(_credentials(call), call.service, call.region)
    to_sign = signer.string_to_sign(request, signer.canonical_request(request))
    if signer.signature(to_sign, request) != parts[2]:
        raise RefusedError("SignatureDoesNotMatch", "The signature is not that of the request", 403)


def _credentials(call: Call) -> Credentials:
    if call.access_key == OWN_KEY:
        return Credentials(OWN_KEY, OWN_SECRET)
    role = _assumed(call.access_key)
    if role is None:
        raise RefusedError("AuthFailure", "AWS was not able to validate the provided access credentials", 401)
    if call.headers.get("x-amz-security-token") != role.session_token:
        raise RefusedError("InvalidClientTokenId", "The security token included in the request is invalid", 403)
    if role.expiration < utcnow():
        raise RefusedError("ExpiredToken", "The security token included in the request is expired", 403)
    return Credentials(role.access_key_id, role.secret_access_key, role.session_token)


def _assumed(access_key: str) -> Any:
    backends = [backend for account in sts_backends.values() for backend in account.values()]
    found = (backend.get_assumed_role_from_access_key(access_key) for backend in backends)
    return next((role for role in found if role), None)


def _within_minutes(date: str) -> None:
    try:
        sent = datetime.datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc)
    except ValueError as error:
        raise RefusedError("IncompleteSignature", "The request has no date", 403) from error
    if abs(datetime.datetime.now(datetime.timezone.utc) - sent) > datetime.timedelta(minutes=5):
        raise RefusedError("RequestExpired", "Request has expired")
