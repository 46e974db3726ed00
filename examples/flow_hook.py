"""A hook of flow rules: turns away what users mark as secret, and lets everything else go. Python alone is enough for it.

HOOK_SECRET=whsec_... python3 flow_hook.py 9000
"""

import base64
import hashlib
import hmac
import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEY = base64.b64decode(os.environ["HOOK_SECRET"].removeprefix("whsec_"))
REFUSED = {"type": "BOUNCE", "parameters": {"bounceMessage": "Secrets stay in the house"}}


def decide(event):
    """Say what is done with a letter; what it says is read by event["messageId"] through the API workmailmessageflow."""
    secret = event["flowDirection"] == "OUTBOUND" and "[secret]" in event["subject"].lower()
    return {"actions": [{"action": REFUSED if secret else {"type": "DEFAULT"}, "allRecipients": True}]}


class Hook(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        id, at = self.headers["webhook-id"] or "", self.headers["webhook-timestamp"] or "0"
        signature = base64.b64encode(hmac.new(KEY, f"{id}.{at}.".encode() + body, hashlib.sha256).digest()).decode()
        known = hmac.compare_digest(f"v1,{signature}", self.headers["webhook-signature"] or "")
        if not known or abs(time.time() - int(at)) > 300:
            self.send_error(401)
            return
        answer = json.dumps(decide(json.loads(body))).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Hook).serve_forever()
