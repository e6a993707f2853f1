"""kubectl at the edge: as a pod runs it, with the pod's own token."""

import os
import subprocess

from process import run_in, spawn_in


class Kubectl:
    """kubectl of one place and credential. `websockets=False` makes it tunnel over SPDY, as old ones do."""

    def __init__(self, site, place, name, credential, websockets=True):
        self._place = place
        self._argv = site.cluster.kubectl_argv(site.kubeconfig(name, credential))
        switch = "true" if websockets else "false"
        self._env = {**os.environ, "KUBECTL_REMOTE_COMMAND_WEBSOCKETS": switch, "KUBECTL_PORT_FORWARD_WEBSOCKETS": switch}

    def run(self, *argv, text=None, timeout=60):
        """Runs it to its end; `text` is its stdin."""
        if text is None:
            return run_in(self._place, [*self._argv, *argv], timeout=timeout, env=self._env)
        process = self.spawn(*argv, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            out, err = process.communicate(text, timeout=timeout)
        finally:
            process.kill()
        return subprocess.CompletedProcess(argv, process.returncode, out, err)

    def spawn(self, *argv, **popen):
        return spawn_in(self._place, [*self._argv, *argv], stdout=subprocess.PIPE, text=True, env=self._env, **popen)
