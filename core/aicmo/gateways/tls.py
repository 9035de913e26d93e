"""Encryption as every provider here wants it: chain and host name are always verified."""

from __future__ import annotations

import ssl
from pathlib import Path

from aicmo.text import one_line

_NOT_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE")


def verifying_context(ca_file: Path | None) -> ssl.SSLContext:
    """Trusts the system's authorities, or those in ``ca_file`` instead. Reads files, so call it in a thread.

    Raises ``OSError`` when ``ca_file`` cannot be used.
    """
    return ssl.create_default_context(cafile=ca_file)


def tls_problem(error: BaseException | None, *, ports: str) -> str:
    """A sentence with what to do, when the failure lies in TLS and not in the network; else empty.

    ``ports`` says which port takes which security, for one that chose the wrong pair.
    """
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return (
                f"its certificate is not valid ({one_line(error.verify_message, limit=200)}). "
                "Check host; for a private authority set ca_file."
            )
        if isinstance(error, ssl.SSLError) and error.reason in _NOT_TLS:
            return f"it does not speak TLS on this port. {ports}"
        error = error.__cause__
    return ""
