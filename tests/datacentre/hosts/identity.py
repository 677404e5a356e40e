"""Instance identity documents, signed as AWS signs them: by one key for the whole data centre."""

from __future__ import annotations

import base64
import datetime
import json

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import pkcs7
from cryptography.x509.oid import NameOID

from datacentre.hosts.machine import Machine


class Notary:
    def __init__(self) -> None:
        self._key = rsa.generate_private_key(65537, 2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "the data centre")])
        now = datetime.datetime.now(datetime.timezone.utc)
        self._certificate = (
            x509.CertificateBuilder(name, name, self._key.public_key(), x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .sign(self._key, hashes.SHA256())
        )

    @property
    def certificate(self) -> str:
        return self._certificate.public_bytes(serialization.Encoding.PEM).decode()

    def signature(self, document: bytes) -> bytes:
        return base64.b64encode(self._key.sign(document, padding.PKCS1v15(), hashes.SHA256()))

    def rsa2048(self, document: bytes) -> bytes:
        """PKCS #7, the document within, as base64 without its frame."""
        builder = pkcs7.PKCS7SignatureBuilder().set_data(document)
        signed = builder.add_signer(self._certificate, self._key, hashes.SHA256())
        pem = signed.sign(serialization.Encoding.PEM, [pkcs7.PKCS7Options.Binary]).decode()
        return "\n".join(pem.strip().splitlines()[1:-1]).encode()


def document(machine: Machine) -> bytes:
    told = {
        "accountId": machine.account,
        "architecture": "x86_64",
        "availabilityZone": machine.zone,
        "imageId": machine.image,
        "instanceId": machine.instance,
        "instanceType": machine.kind,
        "pendingTime": machine.launched,
        "privateIp": machine.address,
        "region": machine.region,
        "version": "2017-09-30",
    }
    return json.dumps(told, indent=2).encode()
