"""Loaded before anything else (see pyproject.toml): no test speaks TLS to Prefect.

Each of Prefect's clients, some dozens in a run, reads all certificates there are, 30 ms of the processor: one will do.
"""

import atexit
import os
from pathlib import Path
from tempfile import NamedTemporaryFile

import certifi

_END = "-----END CERTIFICATE-----"


def _one_certificate() -> str:
    bundle = Path(certifi.where()).read_text(encoding="utf-8")
    beginning = bundle.index("-----BEGIN CERTIFICATE-----")
    with NamedTemporaryFile("w", suffix=".pem", delete=False) as file:
        file.write(bundle[beginning : bundle.index(_END, beginning)] + f"{_END}\n")
    atexit.register(Path(file.name).unlink, missing_ok=True)
    return file.name


if "PREFECT_API_SSL_CERT_FILE" not in os.environ:  # a process of xdist has that of the one that started it
    os.environ["PREFECT_API_SSL_CERT_FILE"] = _one_certificate()
