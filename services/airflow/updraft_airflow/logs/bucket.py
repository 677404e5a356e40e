"""The cluster's log bucket, as far as a reader of task logs needs it. The layout is `docs/logs.md`'s.

boto3 is loaded when a log is first asked for: most processes never ask.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import threading
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_KEY = re.compile(r"(?P<source>.+)/(?P<file>[^/]+)/(?P<offset>[0-9]{20})\.log\.gz")
_CHUNK = 256 * 1024
_NOTHING = frozenset({"NoSuchKey", "404"})


class Unreadable(Exception):
    """The bucket did not answer, or not as it should."""


class Gone(Exception):
    """An object was packed with others meanwhile."""


@dataclass(frozen=True, order=True)
class Stretch:
    """One object: the bytes of a node's file from `offset` on."""

    offset: int
    key: str


@dataclass(frozen=True)
class ShippedFile:
    """One file that a node wrote. Its name begins with its birth."""

    source: str
    name: str
    stretches: tuple[Stretch, ...]


class LogBucket:
    """Says what there is below a prefix, and gives an object's bytes as a stream. Holds no more than a chunk of it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: tuple[str, Any] | None = None

    @property
    def address(self) -> str:
        return f"s3://{self._settings['bucket']}/{self._settings['prefix']}"

    def files(self, path: str) -> list[ShippedFile]:
        """The files whose source begins so, by source and birth."""
        found: dict[tuple[str, str], list[Stretch]] = {}
        for key in self._keys(self._settings["prefix"] + path):
            named = _KEY.fullmatch(key.removeprefix(self._settings["prefix"]))
            if named:
                stretch = Stretch(int(named["offset"]), key)
                found.setdefault((named["source"], named["file"]), []).append(stretch)
        return [ShippedFile(*names, tuple(sorted(stretches))) for names, stretches in sorted(found.items())]

    def read(self, stretch: Stretch) -> Iterator[bytes]:
        """What the object holds, in pieces.

        :raises Gone: there is no such object any more
        :raises Unreadable: it breaks off, or is not what it is called
        """
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            body = self._client().get_object(Bucket=self._settings["bucket"], Key=stretch.key)["Body"]
            with body, gzip.GzipFile(fileobj=body) as content:
                while piece := content.read(_CHUNK):
                    yield piece
        except ClientError as problem:
            if problem.response.get("Error", {}).get("Code") in _NOTHING:
                raise Gone from problem
            raise Unreadable(_said(problem)) from problem
        except (BotoCoreError, OSError, EOFError, zlib.error) as problem:
            raise Unreadable(_said(problem)) from problem

    def _keys(self, prefix: str) -> Iterator[str]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            pages = self._client().get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self._settings["bucket"], Prefix=prefix):
                for entry in page.get("Contents", []):
                    yield str(entry["Key"])
        except (BotoCoreError, ClientError) as problem:
            raise Unreadable(_said(problem)) from problem

    def _client(self) -> Any:
        # Making one is not safe among threads; using it is.
        with self._lock:
            keys = self._keys_now()
            if self._made is None or self._made[0] != keys:
                self._made = (keys, self._with(json.loads(keys)))
            return self._made[1]

    def _with(self, keys: dict[str, str | None]) -> Any:
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=self._settings["endpoint"],
            region_name=self._settings["region"],
            config=Config(connect_timeout=5, read_timeout=20, retries={"max_attempts": 2, "mode": "standard"}),
            **keys,
        )

    def _keys_now(self) -> str:
        """The agent writes others in place of those that end, a role's each half hour."""
        try:
            return Path(self._settings["keys_file"]).read_text(encoding="utf-8")
        except OSError as problem:
            raise Unreadable(_said(problem)) from problem

    @cached_property
    def _settings(self) -> dict[str, str]:
        try:
            settings: dict[str, str] = json.loads(os.environ["UPDRAFT_LOGS"])
        except KeyError:
            raise Unreadable("this service was not told where logs are (UPDRAFT_LOGS)") from None
        return settings


def _said(problem: Exception) -> str:
    return f"{type(problem).__name__}: {problem}"[:500]
