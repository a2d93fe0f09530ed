"""Checks an assertion as a service does, and prints its claims; exits with 3 if it is refused.

Usage: verify.py JWKS ALGORITHM AUDIENCE TOKEN
"""

import json
import sys

import jwt

jwks, algorithm, audience, token = sys.argv[1:]
try:
    if jwt.get_unverified_header(token).get("typ") != "lodge-assertion+jwt":
        raise jwt.InvalidTokenError("it is of another type")
    key = jwt.PyJWKClient(jwks).get_signing_key_from_jwt(token)
    required = ["exp", "iat", "iss", "sub", "aud", "jti"]
    claims = jwt.decode(
        token, key, algorithms=[algorithm], audience=audience, issuer="lodge", options={"require": required}
    )
except jwt.PyJWTError as error:
    print(error, file=sys.stderr)
    sys.exit(3)
print(json.dumps(claims))
