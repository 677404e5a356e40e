"""A SAML 2.0 identity provider for tests: pysaml2, signing and encrypting with the reference implementation (xmlsec1).

    saml_idp.py serve DIRECTORY [--port PORT]    a provider with a sign-in form; everything it knows is in DIRECTORY
    saml_idp.py say DIRECTORY metadata | answer URL | start SP | logout SP      one thing, printed, without any server
    saml_idp.py record FILE                      responses for the tests of services/sso, with the keys they need

DIRECTORY holds `settings.json` (see `Settings`) and `sp/*.xml` (metadata of service providers), both read again at each
request, and the keys the provider makes itself, each by its name.

Addresses: /metadata, /sso (HTTP-Redirect), /start?sp=ENTITY-ID&RelayState=… (begins here), /slo (HTTP-Redirect),
/logout?user=NAME (single logout that begins here).
"""

from __future__ import annotations

import argparse
import base64
import html
import json
import shutil
import sys
import tempfile
import threading
import traceback
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock
from urllib.parse import parse_qs, urlencode, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from saml2 import (
    BINDING_HTTP_POST,
    BINDING_HTTP_REDIRECT,
    assertion,
    entity,
    s_utils,
    samlp,
    time_util,
    xmldsig,
)
from saml2.authn_context import PASSWORDPROTECTEDTRANSPORT
from saml2.config import IdPConfig
from saml2.md import key_descriptor_from_string
from saml2.metadata import entity_descriptor
from saml2.saml import NAMEID_FORMAT_PERSISTENT, NameID
from saml2.server import Server
from saml2.sigver import get_pem_wrapped_unwrapped, pre_encryption_part

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

URI = "urn:oasis:names:tc:SAML:2.0:attrname-format:uri"
CIPHERS = {
    "aes128-gcm": ("http://www.w3.org/2009/xmlenc11#aes128-gcm", "aes-128"),
    "aes256-gcm": ("http://www.w3.org/2009/xmlenc11#aes256-gcm", "aes-256"),
    "aes256-cbc": ("http://www.w3.org/2001/04/xmlenc#aes256-cbc", "aes-256"),
    "tripledes-cbc": ("http://www.w3.org/2001/04/xmlenc#tripledes-cbc", "des-192"),
}

SIGNATURES = {
    "sha1": (xmldsig.SIG_RSA_SHA1, xmldsig.DIGEST_SHA1),
    "sha1-digest": (xmldsig.SIG_RSA_SHA256, xmldsig.DIGEST_SHA1),
    "sha256": (xmldsig.SIG_RSA_SHA256, xmldsig.DIGEST_SHA256),
    "sha512": (xmldsig.SIG_RSA_SHA512, xmldsig.DIGEST_SHA512),
}


@dataclass
class Settings:
    """What a test may change while the provider runs."""

    # {"ada": {"password": …, "mail": …, "displayName": …, "groups": […]}}; the name is the NameID.
    people: dict[str, dict[str, Any]] = field(default_factory=dict)
    sign_response: bool = True
    sign_assertion: bool = True
    # One of CIPHERS; none: not encrypted.
    encrypt: str | None = None
    # One of SIGNATURES.
    signature: str = "sha256"
    # Which of the keys signs, and which metadata lists.
    key: str = "first"
    published_keys: list[str] = field(default_factory=lambda: ["first"])
    # How far its clock is off.
    skew_seconds: int = 0

    @classmethod
    def read(cls, directory: Path) -> Settings:
        path = directory / "settings.json"
        return cls(**json.loads(path.read_text())) if path.exists() else cls()


class Provider(Server):  # type: ignore[misc]
    """pysaml2 knows only triple DES to encrypt with."""

    cipher = "aes256-gcm"

    def _encrypt_assertion(
        self, encrypt_cert: str | None, sp_entity_id: str, response: Any, node_xpath: Any = None
    ) -> Any:
        method, key_type = CIPHERS[self.cipher]
        for name, certificate in self.metadata.certs(sp_entity_id, "any", "encryption"):
            wrapped, bare = get_pem_wrapped_unwrapped(certificate)
            with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
                file.write(wrapped)
                file.flush()
                template = pre_encryption_part(msg_enc=method, key_name=name, encrypt_cert=bare)
                return self.sec.encrypt_assertion(response, file.name, template, key_type, node_xpath=node_xpath)
        raise LookupError(f"{sp_entity_id} has no key to encrypt for")


class Idp:
    """The provider as its directory has it now."""

    def __init__(self, directory: Path, base: str) -> None:
        self.directory = directory
        self.base = base
        self.settings = Settings.read(directory)
        self.server = Provider(config=self._config())
        if self.settings.encrypt:
            self.server.cipher = self.settings.encrypt

    def _config(self) -> IdPConfig:
        private, certificate = ensure_key(self.directory, self.settings.key)
        config = {
            "entityid": f"{self.base}/metadata",
            "key_file": str(private),
            "cert_file": str(certificate),
            "xmlsec_binary": shutil.which("xmlsec1"),
            "delete_tmpfiles": True,
            "metadata": {"local": sorted(str(path) for path in (self.directory / "sp").glob("*.xml"))},
            "service": {
                "idp": {
                    "endpoints": {
                        "single_sign_on_service": [(f"{self.base}/sso", BINDING_HTTP_REDIRECT)],
                        "single_logout_service": [(f"{self.base}/slo", BINDING_HTTP_REDIRECT)],
                    },
                    "policy": {
                        "default": {"lifetime": {"minutes": 5}, "name_form": URI, "attribute_restrictions": None}
                    },
                    "name_id_format": [NAMEID_FORMAT_PERSISTENT],
                    "want_authn_requests_signed": True,
                }
            },
        }
        return IdPConfig().load(config)

    def metadata(self) -> str:
        descriptor = entity_descriptor(self.server.config)
        roles = descriptor.idpsso_descriptor
        first = roles.key_descriptor[0]
        roles.key_descriptor = []
        for name in self.settings.published_keys:
            _, certificate = ensure_key(self.directory, name)
            text = str(first).replace(bare(self.server.config.cert_file), bare(str(certificate)))
            roles.key_descriptor.append(key_descriptor_from_string(text))
        return str(descriptor)

    def response(self, person: str, acs: str, sp: str, in_response_to: str | None) -> str:
        known = self.settings.people[person]
        identity: dict[str, Any] = {name: known[name] for name in ("mail", "displayName") if name in known}
        identity["isMemberOf"] = known.get("groups", [])
        signature, digest = SIGNATURES[self.settings.signature]
        with clock_off_by(self.settings.skew_seconds):
            return str(
                self.server.create_authn_response(
                    identity={name: value for name, value in identity.items() if value},
                    in_response_to=in_response_to,
                    destination=acs,
                    sp_entity_id=sp,
                    name_id=NameID(text=person, format=NAMEID_FORMAT_PERSISTENT, sp_name_qualifier=sp),
                    authn={"class_ref": PASSWORDPROTECTEDTRANSPORT, "authn_auth": self.base},
                    sign_response=self.settings.sign_response,
                    sign_assertion=self.settings.sign_assertion,
                    encrypt_assertion=bool(self.settings.encrypt),
                    encrypt_assertion_self_contained=True,
                    sign_alg=signature,
                    digest_alg=digest,
                )
            )

    def acs(self, sp: str) -> str:
        _, destination = self.server.pick_binding(
            "assertion_consumer_service", [BINDING_HTTP_POST], entity_id=sp, descr_type="spsso"
        )
        return str(destination)

    def logout_address(self, sp: str) -> str:
        _, destination = self.server.pick_binding(
            "single_logout_service", [BINDING_HTTP_REDIRECT], entity_id=sp, descr_type="spsso"
        )
        return str(destination)

    def logout_request(self, person: str, sp: str) -> str:
        """Where to send the browser to sign a person out there."""
        destination = self.logout_address(sp)
        _, request = self.server.create_logout_request(
            destination,
            sp,
            name_id=NameID(text=person, format=NAMEID_FORMAT_PERSISTENT, sp_name_qualifier=sp),
            expire=soon(),
        )
        return self.redirect(request, destination, "", response=False)

    def redirect(self, message: Any, destination: str, relay_state: str, response: bool) -> str:
        sent = self.server.apply_binding(
            BINDING_HTTP_REDIRECT,
            str(message),
            destination,
            relay_state,
            response=response,
            sign=True,
            sigalg=xmldsig.SIG_RSA_SHA256,
        )
        return str(dict(sent["headers"])["Location"])


@contextmanager
def clock_off_by(seconds: int) -> Iterator[None]:
    """What pysaml2 takes for now, in the answers that it makes meanwhile."""
    off = timedelta(seconds=seconds)
    shifted = {
        "instant": lambda *_: (datetime.now(timezone.utc) + off).strftime(time_util.TIME_FORMAT),
        "in_a_while": lambda **lasts: (datetime.now(timezone.utc) + off + timedelta(**lasts)).strftime(
            time_util.TIME_FORMAT
        ),
    }
    users = [assertion, entity, s_utils]
    with ExitStack() as patches:
        for module in users if seconds else []:
            for name, now in shifted.items():
                if hasattr(module, name):
                    patches.enter_context(mock.patch.object(module, name, now))
        yield


def bare(path: str) -> str:
    return "".join(line for line in Path(path).read_text().splitlines() if not line.startswith("-"))


_KEYS = threading.Lock()


def ensure_key(directory: Path, name: str) -> tuple[Path, Path]:
    """The key of this name; made when it is first asked for."""
    private, certificate = directory / f"{name}.key.pem", directory / f"{name}.certificate.pem"
    with _KEYS:
        if not certificate.exists():
            key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
            private.write_bytes(
                key.private_bytes(
                    serialization.Encoding.PEM,
                    serialization.PrivateFormat.PKCS8,
                    serialization.NoEncryption(),
                )
            )
            certificate.write_bytes(self_signed(key).public_bytes(serialization.Encoding.PEM))
    return private, certificate


def self_signed(key: rsa.RSAPrivateKey) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "idp.example.com")])
    now = datetime.now(timezone.utc)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=3650))
        .sign(key, hashes.SHA256())
    )


class Handler(BaseHTTPRequestHandler):
    """Every request reads the directory again."""

    directory: Path
    base: str
    # Whom it signed in where: person → service providers.
    sessions: dict[str, set[str]] = {}  # noqa: RUF012 - shared by all requests on purpose

    def do_GET(self) -> None:
        self.guarded(self.get)

    def do_POST(self) -> None:
        self.guarded(self.sign_in)

    def guarded(self, handle: Callable[[], None]) -> None:
        """What pysaml2 refuses is the sender's fault, and the test's to see."""
        try:
            handle()
        except Exception as problem:
            traceback.print_exc()
            self.answer(400, page("Refused", f"<p role='alert'>{html.escape(type(problem).__name__)}</p>"))

    def log_message(self, format: str, *args: Any) -> None:
        print(self.command, urlsplit(self.path).path, file=sys.stderr, flush=True)

    def get(self) -> None:
        address = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        idp = Idp(self.directory, self.base)
        match address.path:
            case "/metadata":
                self.answer(200, idp.metadata(), "application/samlmetadata+xml")
            case "/sso":
                self.sign_in_form(*requested(idp, query), query.get("RelayState", ""))
            case "/start":
                self.sign_in_form(query["sp"], "", query.get("RelayState", ""))
            case "/slo":
                self.single_logout(idp, query)
            case "/logout":
                self.begin_logout(idp, query["user"])
            case "/signed-out":
                self.answer(200, page("Signed out", "<p>Signed out.</p>"))
            case "/sessions":
                self.answer(
                    200, json.dumps({who: sorted(where) for who, where in self.sessions.items()}), "application/json"
                )
            case _:
                self.answer(404, page("Not found", ""))

    def sign_in(self) -> None:
        length = int(self.headers.get("Content-Length", "0"))
        form = {name: values[0] for name, values in parse_qs(self.rfile.read(length).decode()).items()}
        idp = Idp(self.directory, self.base)
        person = idp.settings.people.get(form.get("user", ""))
        if person is None or person["password"] != form.get("password"):
            self.answer(403, page("Sign in", "<p role='alert'>Wrong user or password.</p>"))
            return
        acs = idp.acs(form["sp"])
        response = idp.response(form["user"], acs, form["sp"], form.get("request") or None)
        self.sessions.setdefault(form["user"], set()).add(form["sp"])
        sent = idp.server.apply_binding(BINDING_HTTP_POST, response, acs, form.get("relay_state", ""), response=True)
        self.answer(200, sent["data"])

    def sign_in_form(self, sp: str, request: str, relay_state: str) -> None:
        hidden = "".join(
            f'<input type="hidden" name="{name}" value="{html.escape(value)}">'
            for name, value in (("sp", sp), ("request", request), ("relay_state", relay_state))
        )
        fields = (
            '<label>User <input name="user" autofocus></label> '
            '<label>Password <input name="password" type="password"></label> <button>Sign in</button>'
        )
        self.answer(200, page("Sign in", f'<form method="post" action="/login">{hidden}{fields}</form>'))

    def single_logout(self, idp: Idp, query: dict[str, str]) -> None:
        signed = {"relay_state": query.get("RelayState"), "sigalg": query["SigAlg"], "signature": query["Signature"]}
        if "SAMLResponse" in query:
            self.to("/signed-out")
            return
        request = idp.server.parse_logout_request(query["SAMLRequest"], BINDING_HTTP_REDIRECT, **signed)
        sp = request.message.issuer.text
        self.sessions.get(request.message.name_id.text, set()).discard(sp)
        response = idp.server.create_logout_response(request.message, [BINDING_HTTP_REDIRECT])
        self.to(idp.redirect(response, idp.logout_address(sp), query.get("RelayState", ""), response=True))

    def begin_logout(self, idp: Idp, person: str) -> None:
        """Of one service provider: tests have one."""
        where = self.sessions.get(person, set())
        if not where:
            self.to("/signed-out")
            return
        self.to(idp.logout_request(person, where.pop()))

    def to(self, location: str) -> None:
        self.send_response(303)
        self.send_header("Location", location)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def answer(self, status: int, text: str, kind: str = "text/html; charset=utf-8") -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def requested(idp: Idp, query: dict[str, str]) -> tuple[str, str]:
    """Service provider and request id of an authentication request, its signature verified."""
    request = idp.server.parse_authn_request(
        query["SAMLRequest"],
        BINDING_HTTP_REDIRECT,
        relay_state=query.get("RelayState"),
        sigalg=query["SigAlg"],
        signature=query["Signature"],
    )
    return request.message.issuer.text, request.message.id


def soon() -> str:
    return (datetime.now(timezone.utc) + timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M:%SZ")


def page(title: str, body: str) -> str:
    return f'<!doctype html><html lang="en"><title>{title}</title><h1>{title}</h1>{body}</html>'


def serve(directory: Path, port: int) -> None:
    (directory / "sp").mkdir(parents=True, exist_ok=True)
    Handler.directory = directory
    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    Handler.base = f"http://127.0.0.1:{server.server_port}"
    print(Handler.base, flush=True)
    server.serve_forever()


def say(directory: Path, what: str, about: str) -> str:
    """Of a provider that is nowhere: its metadata, a form that answers a request or that begins, a logout request."""
    idp = Idp(directory, "https://idp.example.com")
    query = {name: values[0] for name, values in parse_qs(urlsplit(about).query).items()}
    match what:
        case "metadata":
            return idp.metadata()
        case "answer":
            sp, request = requested(idp, query)
            return form(idp.response("ada", idp.acs(sp), sp, request), query["RelayState"])
        case "start":
            return form(idp.response("ada", idp.acs(about), about, None), "")
        case "logout":
            return urlsplit(idp.logout_request("ada", about)).query
    raise ValueError(what)


def form(response: str, relay_state: str) -> str:
    return urlencode({"SAMLResponse": base64.b64encode(response.encode()).decode(), "RelayState": relay_state})


# What the recorded responses are for; services/sso/tests/saml.rs has the same.
SP = "https://updraft.example.com/api/v1/sso/saml/metadata"
ACS = "https://updraft.example.com/api/v1/sso/saml/acs"
SLO = "https://updraft.example.com/api/v1/sso/saml/slo"
REQUEST = "_5f2b9c0d7a6e41c3b8d4e0f1a2b3c4d5e6f70819"
ADA = {
    "password": "x",
    "mail": "ada@example.com",
    "displayName": "Ada Lovelace",
    "groups": ["data-platform", "everyone"],
}
KINDS: dict[str, dict[str, Any]] = {
    "signed_response": {"sign_assertion": False},
    "signed_assertion": {"sign_response": False},
    "signed_both": {},
    "sha512": {"signature": "sha512"},
    "sha1": {"signature": "sha1"},
    "sha1_digest": {"signature": "sha1-digest"},
    "encrypted_gcm": {"sign_response": False, "encrypt": "aes256-gcm"},
    "encrypted_cbc": {"encrypt": "aes256-cbc"},
    "encrypted_cbc_unsigned_response": {"sign_response": False, "encrypt": "aes256-cbc"},
    "encrypted_triple_des": {"encrypt": "tripledes-cbc"},
}


def record(target: Path) -> None:
    """Responses of every kind, all of now."""
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch)
        (directory / "sp").mkdir()
        sp_key, sp_certificate = ensure_key(directory, "sp")
        (directory / "sp" / "updraft.xml").write_text(sp_metadata(sp_certificate))
        recorded: dict[str, Any] = {"at": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"), "responses": {}}
        for name, settings in KINDS.items():
            (directory / "settings.json").write_text(json.dumps({"people": {"ada": ADA}, **settings}))
            idp = Idp(directory, "https://idp.example.com")
            recorded["responses"][name] = idp.response("ada", ACS, SP, REQUEST)
        recorded["idp_metadata"] = idp.metadata()
        recorded["logout_request"] = _logout_query(idp)
        recorded["sp_secret"] = sp_certificate.read_text() + sp_key.read_text()
        for name in ("first", "attacker"):
            private, certificate = ensure_key(directory, name)
            recorded[f"{name}_secret"] = certificate.read_text() + private.read_text()
    target.write_text(json.dumps(recorded, indent=1) + "\n")


def _logout_query(idp: Idp) -> str:
    name_id = NameID(text="ada", format=NAMEID_FORMAT_PERSISTENT, sp_name_qualifier=SP)
    _, request = idp.server.create_logout_request(SLO, SP, name_id=name_id, expire=soon(), session_indexes=["s-1"])
    return urlsplit(idp.redirect(request, SLO, "state", response=False)).query


def sp_metadata(certificate: Path) -> str:
    key = f"<ds:X509Certificate>{bare(str(certificate))}</ds:X509Certificate>"
    key = f"<ds:KeyInfo><ds:X509Data>{key}</ds:X509Data></ds:KeyInfo>"
    return f"""<md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata"
 xmlns:ds="http://www.w3.org/2000/09/xmldsig#" entityID="{SP}"><md:SPSSODescriptor
 protocolSupportEnumeration="{samlp.NAMESPACE}"><md:KeyDescriptor>{key}</md:KeyDescriptor><md:SingleLogoutService
 Binding="{BINDING_HTTP_REDIRECT}" Location="{SLO}"/><md:NameIDFormat>{NAMEID_FORMAT_PERSISTENT}</md:NameIDFormat>
 <md:AssertionConsumerService
 Binding="{BINDING_HTTP_POST}" Location="{ACS}" index="0"/></md:SPSSODescriptor></md:EntityDescriptor>"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    serving = verbs.add_parser("serve")
    serving.add_argument("directory", type=Path)
    serving.add_argument("--port", type=int, default=0)
    saying = verbs.add_parser("say")
    saying.add_argument("directory", type=Path)
    saying.add_argument("what", choices=["metadata", "answer", "start", "logout"])
    saying.add_argument("about", nargs="?", default="")
    recording = verbs.add_parser("record")
    recording.add_argument("file", type=Path)
    arguments = parser.parse_args()
    if arguments.verb == "serve":
        serve(arguments.directory, arguments.port)
    elif arguments.verb == "say":
        print(say(arguments.directory, arguments.what, arguments.about))
    else:
        record(arguments.file)


if __name__ == "__main__":
    main()
