"""Asks about tokens as a service does that uses Authlib; prints what it learns as JSON, a line for each token.

Standard input has a JSON object: `url`, `tokens`, and either `key` or `username` and `password` of the service.
"""

import json
import sys

from authlib.integrations.requests_client import OAuth2Session

asked = json.load(sys.stdin)
if "key" in asked:
    session = OAuth2Session(token_endpoint_auth_method="none")
    headers = {"Authorization": f"Bearer {asked['key']}"}
else:
    session = OAuth2Session(asked["username"], asked["password"], token_endpoint_auth_method="client_secret_basic")
    headers = {}
for token in asked["tokens"]:
    reply = session.introspect_token(asked["url"], token=token, token_type_hint="access_token", headers=headers)
    reply.raise_for_status()
    print(json.dumps(reply.json()))
