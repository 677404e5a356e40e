"""Puts DAG files where a cluster reads them: the embedded S3, with its administrator's key (AWS Signature 4)."""

from __future__ import annotations

import datetime
import hashlib
import hmac
import http.client
import json
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote


@dataclass
class Storage:
    endpoint: str
    access_key: str
    secret_key: str

    @classmethod
    def of(cls, data_dir: Path, port: int) -> Storage:
        listed = json.loads((data_dir / "s3" / "identities.json").read_text())["identities"]
        key = next(one for one in listed if one["name"] == "admin")["credentials"][0]
        return cls(f"127.0.0.1:{port}", key["accessKey"], key["secretKey"])

    def put_dag(self, location: str, name: str, source: str) -> None:
        """`location` as the API says it: `s3://bucket/prefix/`."""
        bucket, _, prefix = location.removeprefix("s3://").partition("/")
        status = self.ask("PUT", f"/{bucket}/{prefix.rstrip('/')}/{name}", source.encode())
        assert status == 200, f"PUT {name}: {status}"

    def remove_dag(self, location: str, name: str) -> None:
        bucket, _, prefix = location.removeprefix("s3://").partition("/")
        status = self.ask("DELETE", f"/{bucket}/{prefix.rstrip('/')}/{name}")
        assert status in (200, 204), f"DELETE {name}: {status}"

    def ask(self, method: str, path: str, body: bytes = b"") -> int:
        path = quote(path)
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        digest = hashlib.sha256(body).hexdigest()
        headers = {"host": self.endpoint, "x-amz-content-sha256": digest, "x-amz-date": now}
        headers["authorization"] = self._authorization(method, path, headers, digest, now)
        connection = http.client.HTTPConnection(self.endpoint, timeout=20)
        try:
            connection.request(method, path, body, headers)
            return connection.getresponse().status
        finally:
            connection.close()

    def _authorization(self, method: str, path: str, headers: dict[str, str], digest: str, now: str) -> str:
        names = ";".join(sorted(headers))
        lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
        request = hashlib.sha256(f"{method}\n{path}\n\n{lines}\n{names}\n{digest}".encode()).hexdigest()
        scope = f"{now[:8]}/us-east-1/s3/aws4_request"
        key = f"AWS4{self.secret_key}".encode()
        for part in scope.split("/"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{request}"
        signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
        return f"AWS4-HMAC-SHA256 Credential={self.access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
