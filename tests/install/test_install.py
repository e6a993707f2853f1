"""scripts/install.sh: what it writes, that it can be run again, and what it says when it can't."""

import re
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
SCRIPT = REPOSITORY / "scripts" / "install.sh"
UNIT, CONFIG, PROGRAM = "etc/systemd/system/holdfast.service", "etc/holdfast/config.yaml", "usr/bin/holdfast"
MANIFESTS = "etc/kubernetes/manifests"
MANIFEST = f"{MANIFESTS}/holdfast.yaml"


@pytest.fixture
def binary(tmp_path):
    file = tmp_path / "built" / "holdfast"
    file.parent.mkdir()
    file.write_text("#!/bin/sh\necho one\n")
    file.chmod(0o755)
    return file


@pytest.fixture
def root(tmp_path):
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


@pytest.fixture
def install(root, binary):
    def run(*arguments, code=0):
        argv = [SCRIPT, *arguments]
        if "--help" not in arguments:
            argv += ["--root", root]
        if arguments and arguments[0] == "systemd" and "--binary" not in arguments:
            argv += ["--binary", binary]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


def files(root):
    return sorted(str(p.relative_to(root)) for p in root.rglob("*") if not p.is_dir())


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_systemd(install, root):
    install("systemd")
    assert files(root) == sorted([UNIT, CONFIG, PROGRAM])
    assert (mode(root / PROGRAM), mode(root / UNIT), mode(root / CONFIG)) == (0o755, 0o644, 0o600)
    assert (root / UNIT).read_text() == (REPOSITORY / "deploy/systemd/holdfast.service").read_text()


def test_static_pod(install, root):
    (root / MANIFESTS).mkdir(parents=True)
    install("static-pod", "--image", "registry.example:5000/holdfast:1")
    assert files(root) == sorted([CONFIG, MANIFEST])
    (container,) = yaml.safe_load((root / MANIFEST).read_text())["spec"]["containers"]
    assert container["image"] == "registry.example:5000/holdfast:1"


@pytest.mark.parametrize("folder, configured", [
    ("/etc/kubernetes/manifests", None),
    ("/var/lib/rancher/k3s/agent/pod-manifests", None),
    ("/var/lib/rancher/rke2/agent/pod-manifests", None),
    ("/srv/static", "staticPodPath: /srv/static"),
    ("/srv/static", 'staticPodPath: "/srv/static"'),
    ("/etc/kubernetes/manifests", 'staticPodPath: ""'),
])
def test_the_kubelets_folder_is_found(install, root, folder, configured):
    (root / folder.lstrip("/")).mkdir(parents=True)
    if configured:
        kubelet = root / "var/lib/kubelet/config.yaml"
        kubelet.parent.mkdir(parents=True)
        kubelet.write_text(f"kind: KubeletConfiguration\n{configured}\nport: 1\n")
    install("static-pod")
    assert (root / folder.lstrip("/") / "holdfast.yaml").exists()


def test_a_second_run_changes_nothing(install, root):
    install("systemd")
    before = {name: (root / name).stat() for name in files(root)}
    said = install("systemd")
    assert "write" not in said
    for name, was in before.items():
        now = (root / name).stat()
        assert (now.st_ino, now.st_mtime_ns) == (was.st_ino, was.st_mtime_ns), name


def test_an_update_replaces_the_program_and_keeps_the_configuration(install, root, binary):
    install("systemd")
    (root / CONFIG).write_text("threads: 2\n")
    running = (root / PROGRAM).open("rb")  # as a running program is: the old file stays what it was
    binary.write_text("#!/bin/sh\necho two\n")
    said = install("systemd")
    assert f"write {root}/{PROGRAM}" in said and f"kept: {root}/{CONFIG}" in said
    assert "two" in (root / PROGRAM).read_text() and b"one" in running.read()
    assert (root / CONFIG).read_text() == "threads: 2\n"
    running.close()


def test_libraries_that_are_missing_are_named(install, root, binary):
    program = Path("/bin/true").read_bytes()
    assert b"libc.so.6" in program
    binary.write_bytes(program.replace(b"libc.so.6", b"libq.so.6"))
    assert "libraries that are not here: libq.so.6" in install("systemd")


def test_uninstall_and_purge(install, root):
    install("systemd")
    cache = root / "var/lib/holdfast/cache"
    cache.mkdir(parents=True)
    install("systemd", "--uninstall")
    assert files(root) == [CONFIG] and cache.exists()
    install("systemd", "--uninstall")  # again: nothing to do
    install("systemd", "--uninstall", "--purge")
    assert files(root) == [] and not cache.exists()
    (root / MANIFESTS).mkdir(parents=True)
    install("static-pod")
    install("static-pod", "--uninstall", "--purge")
    assert files(root) == []


@pytest.mark.parametrize("arguments", [["systemd"], ["static-pod"]])
def test_dry_run_does_nothing(install, root, arguments):
    (root / MANIFESTS).mkdir(parents=True)
    said = install(*arguments, "--dry-run")
    assert f"would: write {root}/{CONFIG}" in said
    assert files(root) == []


def test_prefix(install, root):
    install("systemd", "--prefix", "/opt/holdfast")
    assert (root / "opt/holdfast/bin/holdfast").exists()
    unit = (root / UNIT).read_text()
    assert "ExecStart=/opt/holdfast/bin/holdfast agent --config /etc/holdfast/config.yaml" in unit


@pytest.mark.parametrize("arguments, code, words", [
    ([], 2, "say systemd or static-pod"),
    (["systemd", "static-pod"], 2, "not both"),
    (["systemd", "--purge"], 2, "--uninstall"),
    (["systemd", "--prefix"], 2, "needs a value"),
    (["systemd", "--prefix", "usr"], 2, "absolute"),
    (["systemd", "--prefix", "/a|b"], 2, "letters"),
    (["systemd", "--colour"], 2, "unknown argument --colour"),
    (["systemd", "--binary", "/nonexistent"], 1, "no program at /nonexistent"),
    (["systemd", "--binary", str(REPOSITORY / "README.md")], 1, "not executable"),
    (["static-pod"], 1, "--manifests"),
])
def test_what_it_says_when_it_cannot(arguments, code, words, root):
    argv = [SCRIPT, *arguments] + ([] if arguments[-1:] == ["--prefix"] else ["--root", root])
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert (done.returncode, words in done.stderr) == (code, True), done.stderr
    assert files(root) == []


def test_one_way_at_a_time(install, root):
    """Two agents would fight for one listener."""
    (root / MANIFESTS).mkdir(parents=True)
    install("systemd")
    assert "systemd --uninstall" in install("static-pod", code=1)
    install("systemd", "--uninstall")
    install("static-pod")
    assert "static-pod --uninstall" in install("systemd", code=1)


def test_help():
    done = subprocess.run([SCRIPT, "--help"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "--manifests DIR" in done.stdout and "set -" not in done.stdout


def test_the_unit_starts_without_a_link_and_never_gives_up():
    unit = (REPOSITORY / "deploy/systemd/holdfast.service").read_text()
    settings = [line for line in unit.splitlines() if not line.startswith("#")]
    assert not any("network-online" in line or line.startswith(("Requires=", "BindsTo=")) for line in settings)
    assert {"Restart=always", "StartLimitIntervalSec=0", "WantedBy=multi-user.target"} <= set(settings)
    before = next(line for line in settings if line.startswith("Before="))
    assert {"kubelet.service", "k3s-agent.service", "rke2-agent.service"} <= set(before[7:].split())
    # It attaches programs to the root of all cgroups.
    assert not any(line.startswith(("ProtectControlGroups=", "PrivateNetwork=")) for line in settings)


def test_the_static_pod_starts_without_the_api_server():
    """A kubelet that is cut off runs what needs nothing from the cluster, from images that it has."""
    spec = yaml.safe_load((REPOSITORY / "deploy/static-pod.yaml").read_text())["spec"]
    assert spec["automountServiceAccountToken"] is False and "serviceAccountName" not in spec
    assert spec.get("restartPolicy", "Always") == "Always"
    (container,) = spec["containers"]
    assert container["imagePullPolicy"] != "Always"
    assert {kind for volume in spec["volumes"] for kind in volume if kind != "name"} == {"hostPath"}
    cgroup = next(m for m in container["volumeMounts"] if m["mountPath"] == "/sys/fs/cgroup")
    assert not cgroup.get("readOnly")


def test_systemd_takes_the_unit(install, root):
    if not shutil.which("systemd-analyze"):
        pytest.skip("no systemd-analyze")
    install("systemd")
    done = subprocess.run(["systemd-analyze", "verify", f"--root={root}", "--recursive-errors=no", "holdfast.service"],
                          capture_output=True, text=True, timeout=60)
    said = done.stdout + done.stderr
    ours = [line for line in said.splitlines() if "holdfast" in line]
    assert done.returncode == 0 and not ours, said


def test_the_sample_changes_nothing_and_names_what_there_is():
    """Every key is commented out, so the file means the same as none; each is known to the documentation."""
    text = (REPOSITORY / "deploy/config.yaml").read_text()
    assert yaml.safe_load(text) is None
    sample = yaml.safe_load("\n".join(re.findall(r"^# ((?:  )?[a-z_]+:.*)", text, re.MULTILINE)))
    assert {"node", "upstream", "intercept", "tls", "cache"} == set(sample)
    documented = (REPOSITORY / "docs/configuration.md").read_text()
    for section, keys in sample.items():
        assert f"`{section}`" in documented
        for key in keys or ():
            assert f"`{key}`" in documented
