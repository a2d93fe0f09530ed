"""Sends every request as the caller, whose own account, key and session must stay valid: else every response is a refusal."""

import os

import schemathesis

CALLER = os.environ["LODGE_CALLER"]
OWN = {"user_id": os.environ["LODGE_OWN_USER"], "api_key_id": os.environ["LODGE_OWN_KEY"]}
AUDIENCE = os.environ["LODGE_AUDIENCE"]
UNKNOWN_ID = "2147483647"
UNKNOWN_SESSION = "Bearer a.b.c"
# What ends the session that it is asked with.
CLOSING = ("/sign_out", "/users/me/sessions", "/users/me/sessions/{session_id}")
LITERALS = ("sign_in", "sign_out")


@schemathesis.hook
def before_call(context, case, kwargs):
    case.headers = {name: value for name, value in (case.headers or {}).items() if name.lower() != "authorization"}
    closes_session = case.method == "DELETE" and case.path.endswith(CLOSING) and CALLER.count(".") == 2
    if CALLER:
        case.headers["Authorization"] = UNKNOWN_SESSION if closes_session else CALLER
    rotates = case.path.endswith("/rotate")
    for name, own in OWN.items():
        is_own = str((case.path_parameters or {}).get(name)) == own
        if is_own and (case.method in ("PUT", "DELETE") or rotates):
            case.path_parameters[name] = UNKNOWN_ID
    # Nothing else is an audience of the server's.
    if case.path.endswith("/assertions") and (case.query or {}).get("aud"):
        case.query["aud"] = AUDIENCE
    # With such a value the path is another operation's.
    if (case.path_parameters or {}).get("user_id") in LITERALS:
        case.path_parameters["user_id"] = UNKNOWN_ID
