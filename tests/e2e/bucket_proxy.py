"""Stands before an S3 server on 127.0.0.1, and lets a test spoil its answers: bucket_proxy.py PORT UPSTREAM STATE.

STATE is a file. As long as it holds "failing", requests are answered 500 and 503 in turn: of the former the server was
asked nevertheless, so that a write took place although its answer says nothing of it.
"""
import http.client
import http.server
import itertools
import pathlib
import sys

PORT, UPSTREAM, STATE = int(sys.argv[1]), int(sys.argv[2]), pathlib.Path(sys.argv[3])
OF_CONNECTION = {"connection", "content-length", "keep-alive", "transfer-encoding"}
turns = itertools.count()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one segment
    disable_nagle_algorithm = True
    upstream = None

    def finish(self):
        super().finish()
        if self.upstream is not None:
            self.upstream.close()

    def ask(self, body):
        if self.upstream is None:
            self.upstream = http.client.HTTPConnection("127.0.0.1", UPSTREAM)
        self.upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            self.upstream.putheader(name, value)
        self.upstream.endheaders(body or None)
        reply = self.upstream.getresponse()
        return reply, reply.read()

    def hand_back(self, reply, body):
        self.send_response_only(reply.status, reply.reason)
        for name, value in reply.headers.items():
            if name.lower() not in OF_CONNECTION:
                self.send_header(name, value)
        size = reply.headers.get("Content-Length") if self.command == "HEAD" else len(body)
        if size is not None and reply.status != 204:
            self.send_header("Content-Length", str(size))
        self.end_headers()
        self.wfile.write(body)

    def spoil(self, status):
        self.send_response_only(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def handle_request(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        failing = STATE.read_text(encoding="ascii").strip() == "failing"
        if failing and next(turns) % 2 == 0:
            self.spoil(503)
            return
        try:
            answer = self.ask(body)
        except (OSError, http.client.HTTPException):
            self.close_connection = True
            return
        if failing:
            self.spoil(500)
        else:
            self.hand_back(*answer)

    do_DELETE = do_GET = do_HEAD = do_POST = do_PUT = handle_request

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128


Server(("127.0.0.1", PORT), Handler).serve_forever()
