"""Airflow's remote log IO over the objects that agents ship: it reads, and uploads nothing.

A log is read while it is written, while its objects are packed into one, and after its node was lost.
"""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING

from updraft_airflow.logs import masks
from updraft_airflow.logs.bucket import Gone, LogBucket, ShippedFile, Unreadable

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    import structlog
    from airflow.sdk.types import RuntimeTaskInstanceProtocol

# A line beyond this is shown in pieces.
_LONGEST_LINE = 1024 * 1024
# Objects may be packed again while they are read, but not for ever.
_LISTINGS = 5
# Of an attempt that goes on, the last line may be half written.
_GOES_ON = frozenset({"running", "deferred", "restarting"})
_ESCAPED = re.compile(r"[%\x00-\x1f\x7f-\x9f]")


class ShippedTaskLogs:
    """`RemoteLogIO` and `RemoteLogStreamIO` of Airflow's."""

    def __init__(self, bucket: LogBucket | None = None) -> None:
        self._bucket = bucket or LogBucket()
        # What writes a task's log has each line go through these.
        self.processors: tuple[structlog.typing.Processor, ...] = masks.processors(os.environ)

    def upload(self, path: os.PathLike[str] | str, ti: RuntimeTaskInstanceProtocol | None = None) -> None:
        """Nothing: the node's agent ships what is written."""

    def read(self, relative_path: str, ti: RuntimeTaskInstanceProtocol) -> tuple[list[str], list[str] | None]:
        sources, streams = self.stream(relative_path, ti)
        return sources, ["\n".join(lines) for lines in streams] or None

    def stream(
        self, relative_path: str, ti: RuntimeTaskInstanceProtocol
    ) -> tuple[list[str], list[Generator[str, None, None]]]:
        """Where the lines come from, and a stream for the attempt and for each triggerer that it was deferred to."""
        try:
            files = self._files(relative_path)
        except Unreadable as problem:
            return [], [_note(f"The log bucket could not be read: {problem}. Try again in a moment.")]
        by_source: dict[str, list[ShippedFile]] = {}
        for file in files:
            by_source.setdefault(file.source, []).append(file)
        goes_on = str(getattr(ti, "state", None) or "") in _GOES_ON
        sources = [f"{self._bucket.address}{file.source}/{file.name}/" for file in files]
        return sources, [self._lines(of_one, goes_on) for of_one in by_source.values()]

    def _files(self, relative_path: str) -> list[ShippedFile]:
        path = "/".join(_escape(part) for part in relative_path.split("/"))
        # An id with a slash in it makes a path that names no attempt.
        return self._bucket.files(f"tasks/{path}") or self._bucket.files(f"files/tasks/{path}")

    def _lines(self, files: list[ShippedFile], goes_on: bool) -> Generator[str, None, None]:
        for number, file in enumerate(files, 1):
            rest = b""
            try:
                for piece in self._bytes(file):
                    *lines, rest = (rest + piece).split(b"\n")
                    yield from (line.decode(errors="replace") for line in lines)
                    while len(rest) > _LONGEST_LINE:
                        yield rest[:_LONGEST_LINE].decode(errors="replace")
                        rest = rest[_LONGEST_LINE:]
            except Unreadable as problem:
                yield from _note(f"Reading stopped here: {problem}. Try again in a moment.")
                return
            if rest and not (goes_on and number == len(files)):
                yield rest.decode(errors="replace")

    def _bytes(self, file: ShippedFile) -> Iterator[bytes]:
        """Every byte of a node's file that arrived, once, though its objects are packed meanwhile."""
        at = 0
        for _ in range(_LISTINGS):
            try:
                for reached, piece in self._from(file, at):
                    at = reached
                    yield piece
            except Gone:
                again = self._bucket.files(f"{file.source}/{file.name}/")
                if not again:
                    return
                file = again[0]
            else:
                return
        raise Unreadable("its objects changed each time they were looked at")

    def _from(self, file: ShippedFile, at: int) -> Iterator[tuple[int, bytes]]:
        """Pieces, each with the place in the file that it reaches.

        An object counts up to where the next one begins: while they are packed, bytes lie in two.
        """
        ends: list[int | None] = [*(stretch.offset for stretch in file.stretches[1:]), None]
        for stretch, end in zip(file.stretches, ends, strict=True):
            if end is not None and end <= at:
                continue
            if stretch.offset > at:
                lost = stretch.offset - at
                at = stretch.offset
                yield at, b"".join(line.encode() + b"\n" for line in _note(f"{lost} bytes of this log never arrived."))
            place = stretch.offset
            for piece in self._bucket.read(stretch):
                fresh = piece[max(0, at - place) : None if end is None else max(0, end - place)]
                place += len(piece)
                at += len(fresh)
                yield at, fresh
                if end is not None and place >= end:
                    break


def _escape(part: str) -> str:
    """As `services/api/src/log_layout.rs` does for names on the node's disk."""
    if part and not part.strip("."):
        return "%2E" * len(part)
    return _ESCAPED.sub(lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), part)


def _note(text: str) -> Generator[str, None, None]:
    """A line of our own among the task's."""
    yield json.dumps({"event": text, "level": "warning", "logger": "updraft"})
