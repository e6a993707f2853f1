"""Runs balancer.py in a place of the test's."""

import subprocess
import sys
from pathlib import Path

from process import eventually, spawn_in, stop


class Balancer:
    """Copies bytes between `listen` and `to` ("address:port") until `close`."""

    def __init__(self, place, log, listen, to, delay=0):
        self._log = Path(log)
        argv = [sys.executable, Path(__file__).with_name("balancer.py"), f"--listen={listen}", f"--to={to}",
                f"--delay={delay}"]
        with open(log, "wb") as out:
            self._process = spawn_in(place, argv, stdout=out, stderr=subprocess.STDOUT)
        eventually(lambda: "listening" in self._log.read_text(), what=f"the balancer on {listen}")

    def peers(self):
        """Whose connections it took so far ("address:port")."""
        lines = [line.split() for line in self._log.read_text().splitlines() if line.startswith("from ")]
        return {f"{address}:{port}" for _, address, port in lines}

    def close(self):
        stop(self._process)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
