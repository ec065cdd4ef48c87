"""The embedded server's life, as long as somebody uses it."""

import subprocess
import sys
from pathlib import Path

JOIN = "import os, sys; from lifecycle.persistence.database import embedded_url; from pathlib import Path; "


def use(home: Path, then: str) -> None:
    join = f"{JOIN}embedded_url(Path(sys.argv[1])); {then}"
    subprocess.run([sys.executable, "-c", join, str(home)], check=True, timeout=60)


def test_the_embedded_server_stops_with_its_last_user_even_if_others_were_killed(tmp_path: Path) -> None:
    use(tmp_path, "os._exit(0)")
    assert (tmp_path / "postgres" / "postmaster.pid").exists()
    use(tmp_path, "pass")
    assert not (tmp_path / "postgres" / "postmaster.pid").exists()
