"""The cluster's administrator as an HTTP client that sits in the cloud's namespace."""

import http.client
import json
import select
import socket
import ssl

from process import in_netns


class ApiError(AssertionError):
    def __init__(self, method, path, code, body):
        super().__init__(f"{method} {path}: {code} {body}")
        self.code = code


class Administrator:
    """One kept-alive connection to the API server; it is made anew when it was lost."""

    def __init__(self, netns, address, port, ca_file, pair):
        self._netns, self._address, self._port = netns, address, port
        self._ca_file, self._pair = ca_file, pair
        self._connection = None

    def request(self, method, path, body=None, content_type="application/json"):
        """Returns the code and the body, parsed when it is JSON."""
        data = None if body is None else json.dumps(body)
        headers = {"Accept": "application/json", "User-Agent": "test-admin"}
        if data is not None:
            headers["Content-Type"] = content_type
        for attempt in (1, 2):
            try:
                if self._connection is not None and self._is_closing():
                    self.close()
                if self._connection is None:
                    self._connection = self._connect()
                self._connection.request(method, path, body=data, headers=headers)
                response = self._connection.getresponse()
                text = response.read().decode()
                break
            except (OSError, http.client.HTTPException):
                self.close()
                if attempt == 2 or method == "POST":  # a POST may have been done
                    raise
        is_json = response.headers.get_content_type() == "application/json"
        return response.status, json.loads(text) if is_json else text

    def api(self, method, path, body=None, ok=(200, 201), **options):
        """As request, but a code that is not in `ok` is an ApiError; returns the body."""
        code, answer = self.request(method, path, body, **options)
        if code not in ok:
            raise ApiError(method, path, code, answer)
        return answer

    def _is_closing(self):
        """The server ends what was idle for long: something to read between two requests is that end."""
        return bool(select.select([self._connection.sock], [], [], 0)[0])

    def close(self):
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connect(self):
        context = ssl.create_default_context(cafile=self._ca_file)
        context.load_cert_chain(self._pair.certificate, self._pair.key)
        with in_netns(self._netns):
            raw = socket.create_connection((self._address, self._port), timeout=30)
        connection = http.client.HTTPSConnection(self._address, self._port)
        connection.sock = context.wrap_socket(raw, server_hostname=self._address)
        return connection
