"""Says at once that another version became the live one, instead of at the next look.

The agent replaces `<root>/current` by a rename; the kernel tells of it (inotify), and the descriptor wakes whoever
waits with a selector. Without it (too many watches on the machine) nothing is lost: looks go on each second.
"""

from __future__ import annotations

import ctypes
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# <sys/inotify.h>
_IN_MOVED_TO = 0x80
_FLAGS = os.O_NONBLOCK | os.O_CLOEXEC


class Swaps:
    """Readable when something in the directory was replaced."""

    def __init__(self, directory: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor: int = libc.inotify_init1(_FLAGS)
        if self._descriptor < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")
        if libc.inotify_add_watch(self._descriptor, os.fsencode(directory), _IN_MOVED_TO) < 0:
            error = ctypes.get_errno()
            self.close()
            raise OSError(error, "inotify_add_watch", str(directory))

    def fileno(self) -> int:
        return self._descriptor

    def forget(self) -> None:
        """What was told so far."""
        os.read(self._descriptor, 1 << 16)

    def close(self) -> None:
        os.close(self._descriptor)
