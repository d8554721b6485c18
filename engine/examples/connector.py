#!/usr/bin/env python3
"""A source and a sink of a Potoroo application in another process: the connector protocol with
nothing but Python's standard library. The protocol stands in engine/connector/README.md.

The source sends the lines of a file, and ends with it; the id of a message is where its line ends:

    python3 engine/examples/connector.py source 127.0.0.1:7000 numbers.txt

The sink writes what the application has committed into a file:

    python3 engine/examples/connector.py sink 127.0.0.1:7001 windows.txt

The application, which may be killed at any time, as may be both of these:

    cargo run --release --example sequence_windows -- --state state \\
        --source numbers='potoroo://127.0.0.1:7000?streams=1' --sink windows=potoroo://127.0.0.1:7001

However often: `windows.txt` has each line once.
"""

import argparse
import os
import socket
import struct
import sys
import time

VERSION = 1
FRAME_BYTES_MAX = 1 << 20
HELLO_TEXT_BYTES_MAX = 1024
SILENCE_SECONDS = 30  # An engine says something every ten to a source that has a stream open.
STRANGER_SECONDS = 2  # How long the other side may take to say who it is: engines do so at once.
REFUSED_SECONDS = 60  # A client that is refused twice within this time ends.
SOURCE, SINK = 1, 2
(HELLO, WELCOME, REFUSED, OPEN, RESUME, CREDIT, MESSAGE, ACK, END, ENDED,
 BEGIN, DATA, COMMIT, COMMITTED) = range(1, 15)


class Refused(Exception):
    """The other side does not want us; it said why."""


class Connection:
    """Frames over a socket."""

    def __init__(self, sock):
        self.sock = sock
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # The other side may be gone without a word; the defaults of the system take hours.
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT):
            self.sock.setsockopt(socket.IPPROTO_TCP, option, 5)
        self.received = bytearray()
        self.until = time.monotonic() + STRANGER_SECONDS  # None once it is known.
        self.silence = None  # Seconds after which one that is known and says nothing is gone.

    def send(self, kind, fields=b""):
        self.sock.sendall(struct.pack("<IB", 1 + len(fields), kind) + fields)

    def receive(self, wait=True):
        """The next frame, kind and fields. Without `wait` it may be None."""
        while True:
            frame = self.take()
            if frame is not None:
                return frame
            self.sock.settimeout(self.patience() if wait else 0)
            try:
                received = self.sock.recv(65536)
            except BlockingIOError:
                return None
            finally:
                self.sock.settimeout(None)
            if not received:
                raise ConnectionError("the other side closed the connection")
            self.received += received

    def patience(self):
        if self.until is None:
            return self.silence
        left = self.until - time.monotonic()
        if left <= 0:
            raise ConnectionError("the other side does not say who it is")
        return left

    def take(self):
        if len(self.received) < 4:
            return None
        (length,) = struct.unpack_from("<I", self.received)
        if not 1 <= length <= FRAME_BYTES_MAX:
            raise ConnectionError(f"a frame says that it has {length} bytes")
        if len(self.received) < 4 + length:
            return None
        frame = bytes(self.received[4:4 + length])
        del self.received[:4 + length]
        if frame[0] == REFUSED:
            raise Refused(untext(frame[1:])[0])
        return frame[0], frame[1:]


def text(string):
    coded = string.encode()
    return struct.pack("<H", len(coded)) + coded


def untext(fields):
    """A text, and what follows it."""
    (length,) = struct.unpack_from("<H", fields)
    return fields[2:2 + length].decode(), fields[2 + length:]


def address(string):
    host, _, port = string.rpartition(":")
    return host, int(port)


def send_file(options):
    """Sends the file over one connection, from where the application wants it."""
    with socket.create_connection(options.address) as sock, open(options.file, "rb") as file:
        if sock.getsockname() == sock.getpeername():
            raise ConnectionError("no process listens there")
        connection = Connection(sock)
        hello = b"PTRO" + struct.pack("<HB", VERSION, SOURCE)
        connection.send(HELLO, hello + text(options.token) + text("") + text(""))
        kind, fields = connection.receive()
        if (kind, fields[:2]) != (WELCOME, struct.pack("<H", VERSION)):
            raise ConnectionError(f"a frame of kind {kind} instead of a welcome of our version")
        connection.until = None
        connection.send(OPEN, struct.pack("<I", 0) + text(options.stream) + struct.pack("<Q", 0))
        credit, resumed, ended = 0, False, False
        while True:
            # Waits only while there is nothing to send.
            frame = connection.receive(wait=credit == 0 or not resumed or ended)
            if frame is None:
                line = file.readline()
                if line:
                    id = struct.pack("<IQ", 0, file.tell())
                    connection.send(MESSAGE, id + line)
                    credit -= 1
                else:
                    connection.send(END, struct.pack("<I", 0))
                    ended = True
                continue
            kind, fields = frame
            if kind == RESUME:
                connection.silence = SILENCE_SECONDS
                (after,) = struct.unpack_from("<Q", fields, 4)
                file.seek(after)
                resumed = True
            elif kind == CREDIT:
                credit += struct.unpack_from("<I", fields, 4)[0]
            elif kind == ENDED:
                if not ended and file.readline():
                    raise Refused(f"{options.stream} has ended before, and the file has more: "
                                  "take another name for the stream")
                return  # Everything is covered by a committed checkpoint.
            elif kind != ACK:  # The file keeps what is not acknowledged.
                raise ConnectionError(f"a frame of kind {kind} is not for a source")


def run_source(options):
    refused = -REFUSED_SECONDS
    while True:
        try:
            return send_file(options)
        except Refused as reason:
            # Perhaps by what a lost connection still had on its way: that took our stream.
            if time.monotonic() - refused < REFUSED_SECONDS:
                raise
            refused = time.monotonic()
            print(f"{options.stream}: refused: {reason}; trying once more", file=sys.stderr)
        except OSError as error:
            print(f"{options.stream}: {error}; trying again", file=sys.stderr)
            time.sleep(0.02)


class Output:
    """A file, and beside it how much of it is committed and by which transaction."""

    def __init__(self, path):
        self.mark = path + ".last"
        self.last, self.length = 0, 0
        if os.path.exists(self.mark):
            with open(self.mark, encoding="ascii") as mark:
                self.last, self.length = (int(word) for word in mark.read().split())
        self.file = open(path, "r+b" if os.path.exists(path) else "w+b")

    def begin(self):
        """Drops whatever is not committed."""
        self.file.seek(self.length)
        self.file.truncate()

    def commit(self, transaction):
        """Replaces the mark in one step, after the output that it counts is durable."""
        self.file.flush()
        os.fsync(self.file.fileno())
        length = self.file.tell()
        with open(self.mark + ".new", "w", encoding="ascii") as mark:
            mark.write(f"{transaction} {length}\n")
            mark.flush()
            os.fsync(mark.fileno())
        os.replace(self.mark + ".new", self.mark)
        self.last, self.length = transaction, length


def take_transactions(connection, output, token):
    """Takes what one engine brings, until it is gone."""
    kind, fields = connection.receive()
    if kind != HELLO or fields[:4] != b"PTRO":
        raise ConnectionError("somebody who does not speak the protocol")
    version, role = struct.unpack_from("<HB", fields, 4)
    if (version, role, untext(fields[7:])[0]) != (VERSION, SINK, token):
        connection.send(REFUSED, text("another version, role or token"))
        return
    connection.until = None
    connection.send(WELCOME, struct.pack("<H", VERSION) + output.last.to_bytes(16, "little"))
    while True:
        kind, fields = connection.receive()
        if kind == BEGIN:
            output.begin()
        elif kind == DATA:
            output.file.write(fields)
        elif kind == COMMIT:
            output.commit(int.from_bytes(fields, "little"))
            connection.send(COMMITTED, fields)
        else:
            raise ConnectionError(f"a frame of kind {kind} is not for a sink")


def run_sink(options):
    output = Output(options.file)
    with socket.create_server(options.address) as listener:
        print(f"listening, the last transaction is {output.last}", file=sys.stderr)
        while True:
            sock, _ = listener.accept()
            with sock:
                try:
                    take_transactions(Connection(sock), output, options.token)
                # A stranger may send anything, also what is too short.
                except (OSError, Refused, ValueError, struct.error) as error:
                    print(f"{error}; waiting for the next", file=sys.stderr)


def read_token(path):
    """Not an option itself: others see those."""
    with open(path, encoding="utf-8", newline="") as file:
        token = file.readline().rstrip("\r\n")
    if not 1 <= len(token.encode()) <= HELLO_TEXT_BYTES_MAX:
        sys.exit(f"{path}: a token has 1 to {HELLO_TEXT_BYTES_MAX} bytes")
    return token


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("role", choices=["source", "sink"])
    parser.add_argument("address", type=address, help="HOST:PORT")
    parser.add_argument("file")
    parser.add_argument("--stream", default="lines", help="name of the source's stream")
    parser.add_argument("--token-file", help="has the token of the application's address")
    options = parser.parse_args()
    options.token = read_token(options.token_file) if options.token_file else ""
    try:
        run_source(options) if options.role == "source" else run_sink(options)
    except Refused as reason:
        sys.exit(f"refused: {reason}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
