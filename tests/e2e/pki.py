"""Keys and certificates for tests, made with openssl, and kubeconfigs that use them."""

import json
from dataclasses import dataclass
from pathlib import Path

from process import run


@dataclass(frozen=True)
class KeyPair:
    certificate: Path
    key: Path


class CertificateAuthority:
    """A CA in a folder of its own. Names are file names and must be unique in it."""

    def __init__(self, folder, common_name, days=3650):
        self._dir = Path(folder)
        self._dir.mkdir(parents=True)
        self.key = self.new_key("ca")
        self.certificate = self._dir / "ca.crt"
        run("openssl", "req", "-x509", "-new", "-sha256", "-key", self.key, "-out", self.certificate,
            "-days", days, "-subj", f"/CN={common_name}", "-addext", "keyUsage=critical,keyCertSign,digitalSignature")

    def new_key(self, name, rsa=False):
        path = self._dir / f"{name}.key"
        kind = ["RSA", "-pkeyopt", "rsa_keygen_bits:2048"] if rsa else ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
        run("openssl", "genpkey", "-algorithm", *kind, "-out", path)
        path.chmod(0o600)
        return path

    def issue(self, name, subject, server_names=(), days=365, not_before=None, not_after=None):
        """A key pair: for a server when it has names ("DNS:…", "IP:…"), else for a client.

        not_before and not_after (YYYYMMDDHHMMSSZ) make certificates that are not valid now.
        """
        key = self.new_key(name)
        request, extensions = self._dir / f"{name}.csr", self._dir / f"{name}.ext"
        certificate = self._dir / f"{name}.crt"
        run("openssl", "req", "-new", "-key", key, "-subj", subject, "-out", request)
        lines = ["basicConstraints=critical,CA:FALSE", "keyUsage=critical,digitalSignature,keyEncipherment",
                 f"extendedKeyUsage={'serverAuth' if server_names else 'clientAuth'}",
                 "authorityKeyIdentifier=keyid"]
        if server_names:
            lines.append("subjectAltName=" + ",".join(server_names))
        if not_after:
            self._issue_between(name, request, certificate, lines, not_before, not_after)
        else:
            extensions.write_text("\n".join(lines) + "\n")
            run("openssl", "x509", "-req", "-sha256", "-in", request, "-CA", self.certificate, "-CAkey", self.key,
                "-CAcreateserial", "-days", days, "-extfile", extensions, "-out", certificate)
        return KeyPair(certificate, key)

    def _issue_between(self, name, request, certificate, lines, not_before, not_after):
        # `openssl x509` of 3.0 knows no dates; `openssl ca` does.
        database = self._dir / f"{name}.db"
        database.write_text("")
        config = self._dir / f"{name}.cnf"
        config.write_text("\n".join([
            "[ca]", "default_ca=test", "[test]", f"database={database}", "rand_serial=yes", "default_md=sha256",
            f"new_certs_dir={self._dir}", "policy=any", "unique_subject=no", "[any]", "commonName=supplied",
            "organizationName=optional", "[ext]", *lines, ""]))
        run("openssl", "ca", "-batch", "-notext", "-config", config, "-extensions", "ext", "-in", request,
            "-cert", self.certificate, "-keyfile", self.key, "-startdate", not_before, "-enddate", not_after,
            "-out", certificate)


def write_kubeconfig(path, server, ca_file, pair=None, token=None):
    """A kubeconfig with one context; JSON is YAML too."""
    user = {"token": token} if token else {"client-certificate": str(pair.certificate), "client-key": str(pair.key)}
    Path(path).write_text(json.dumps({
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": server, "certificate-authority": str(ca_file)}}],
        "users": [{"name": "test", "user": user}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
    }, indent=2))
    Path(path).chmod(0o600)
