"""Files that are written whole or not at all."""

from __future__ import annotations

import secrets
from pathlib import Path

from stargan.contracts import UserError


def write_whole(path: Path, data: bytes) -> None:
    """Write a file; an interrupted write leaves the old one, or none. Makes the folder.

    Raises:
        UserError: the place cannot be written to.
    """
    # Not mkstemp: its files stay private (0600), and exports are made to be shared.
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_bytes(data)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"'{path}' cannot be written ({error.strerror or error}).") from error
