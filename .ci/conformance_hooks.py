"""Sends every request as the caller, whose own account, key and session must stay valid: else every response is a refusal."""

import os

import schemathesis

CALLER = os.environ["LODGE_CALLER"]
OWN = {"user_id": os.environ["LODGE_OWN_USER"], "api_key_id": os.environ["LODGE_OWN_KEY"]}
UNKNOWN_ID = "2147483647"
UNKNOWN_SESSION = "Bearer a.b.c"


@schemathesis.hook
def before_call(context, case, kwargs):
    case.headers = {name: value for name, value in (case.headers or {}).items() if name.lower() != "authorization"}
    closes_session = case.method == "DELETE" and case.path.endswith("/sign_out") and CALLER.count(".") == 2
    if CALLER:
        case.headers["Authorization"] = UNKNOWN_SESSION if closes_session else CALLER
    for name, own in OWN.items():
        if case.method in ("PUT", "DELETE") and str((case.path_parameters or {}).get(name)) == own:
            case.path_parameters[name] = UNKNOWN_ID
