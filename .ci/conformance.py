#!/usr/bin/env python3
"""Sends requests that the served document allows and requests that it does not, as each kind of caller, and checks that
every response is as documented.

Usage: conformance.py <st> <lodge>: the two programs. The server runs in a temporary directory and is ended by its pid.
"""

import base64
import json
import os
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

PASSWORD = "the keys to the house"
AUDIENCE = "files"
EXAMPLES = os.environ.get("LODGE_TEST_EXAMPLES", "15")
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
]
RESTRICTED = [("configurations", "*"), ("users", "show"), ("api_keys", "index"), ("api_keys", "create")]


class Server:
    """A server with low-cost password hashes, on a free port."""

    def __init__(self, lodge, directory):
        settings = {
            "LODGE_ADMIN_PASSWORD": PASSWORD,
            "LODGE_ASSERTION_AUDIENCE": AUDIENCE,
            "LODGE_BALLAST": "0B",
            "LODGE_DATA_DIR": directory,
            "LODGE_LISTEN": "127.0.0.1:0",
            "LODGE_LOG": "warn",
            "LODGE_SCRYPT_COST": "10",
        }
        self.process = subprocess.Popen([lodge, "serve"], env=settings, stdout=subprocess.PIPE, text=True)
        self.address = self.process.stdout.readline().split()[-1]

    def ask(self, path, authorization=None, body=None):
        headers = {"Content-Type": "application/json"}
        if authorization:
            headers["Authorization"] = authorization
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(f"{self.address}/api/v2{path}", data, headers)
        with urllib.request.urlopen(request, timeout=30) as reply:
            return json.load(reply), reply.headers

    def account(self, name, is_admin):
        """Creates an account; returns its id and its Basic credential."""
        body = {"username": name, "password": PASSWORD, "is_admin": is_admin}
        user, _ = self.ask("/users", basic("admin"), body)
        return user["id"], basic(name)

    def key(self, owner, scopes):
        listed = [{"controller": controller, "action": action} for controller, action in scopes]
        return self.ask("/users/me/api_keys", owner, {"api_key_scopes": listed})[0]

    def session(self, name):
        _, headers = self.ask("/users/sign_in", body={"user": {"username": name, "password": PASSWORD}})
        return headers["Authorization"]


def basic(name):
    return "Basic " + base64.b64encode(f"{name}:{PASSWORD}".encode()).decode()


def with_key(server, scopes):
    user, owner = server.account("by-key", True)
    key = server.key(owner, scopes)
    return key["key"], user, key["id"]


def with_session(server):
    user, _ = server.account("by-session", True)
    return server.session("by-session"), user, None


# Each kind of caller: how it gets its credential, and the ids of its own account and key.
CALLERS = {
    "a password": lambda server: (*reversed(server.account("by-password", True)), None),
    "a session": with_session,
    "an API key with full access": lambda server: with_key(server, [("*", "*")]),
    "a restricted API key": lambda server: with_key(server, RESTRICTED),
    "a standard user": lambda server: (*reversed(server.account("standard", False)), None),
    "no credential": lambda server: (None, None, None),
}


def run(st, server, authorization, user, key):
    own = {"LODGE_CALLER": authorization or "", "LODGE_OWN_USER": str(user), "LODGE_OWN_KEY": str(key)}
    own["LODGE_AUDIENCE"] = AUDIENCE
    hooks = {
        "SCHEMATHESIS_HOOKS": "conformance_hooks",
        "PYTHONPATH": str(Path(__file__).resolve().parent),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [st, "run", f"{server.address}/openapi.json", "--checks", ",".join(CHECKS), "--max-examples", EXAMPLES]
    command += ["--phases", "examples,coverage,fuzzing,stateful", "--request-timeout", "30", "--seed", "1"]
    command += ["--warnings", "off", "--no-color", "--no-shrink", "--generation-database", "none"]
    with tempfile.TemporaryDirectory() as scratch:
        done = subprocess.run(command, cwd=scratch, env=os.environ | own | hooks, stdout=subprocess.PIPE, text=True)
    return done.returncode, done.stdout


def is_still_valid(server, authorization):
    try:
        server.ask("/users/me", authorization)
    except urllib.error.HTTPError:
        return False
    return True


def is_sound_as(name, st, lodge):
    """Whether every response to that kind of caller was as documented. Each kind has a server of its own."""
    with tempfile.TemporaryDirectory() as directory:
        server = Server(lodge, directory + "/data")
        try:
            authorization, user, key = CALLERS[name](server)
            code, output = run(st, server, authorization, user, key)
            # A credential that became invalid has seen nothing but refusals.
            lasted = authorization is None or is_still_valid(server, authorization)
        finally:
            server.process.terminate()
            server.process.wait()
    is_sound = code == 0 and lasted
    print(f"with {name}:", "sound" if is_sound else f"FAULTS, credential lasted: {lasted}\n{output}", flush=True)
    return is_sound


def main(st, lodge):
    st, lodge = Path(st).absolute(), Path(lodge).absolute()
    return 0 if all([is_sound_as(name, st, lodge) for name in CALLERS]) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
