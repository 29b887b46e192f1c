"""Sends back what it gets, a thread per connection. py_raw.py ADDRESS PORT"""
import socketserver
import sys


class Raw(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(65536):
            self.request.sendall(data)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True


Server((sys.argv[1], int(sys.argv[2])), Raw).serve_forever()
