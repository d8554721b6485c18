//! A gate before a server over HTTP: lets requests through, or does to them what networks do. One
//! request for each connection.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// It is answered.
    Pass,
    /// It gets lost.
    Lose,
    /// It arrives, and its answer gets lost.
    LoseAnswer,
    /// It arrives, and is answered as by a service that is too busy to report the outcome.
    Busy,
    /// It arrives without its conditions, as at a server that knows of none.
    Unconditional,
}

type Judge = Box<dyn FnMut(&str) -> Deed + Send>;

/// A gate at a free port. Its threads end with the test.
#[derive(Clone)]
pub struct Gate {
    pub address: SocketAddr,
    judge: Arc<Mutex<Judge>>,
}

impl Gate {
    /// A gate before `server` that lets everything through.
    pub fn before(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let judge: Judge = Box::new(|_| Deed::Pass);
        let gate = Self { address, judge: Arc::new(Mutex::new(judge)) };
        let of_thread = gate.clone();
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let gate = of_thread.clone();
                // Who goes away in the middle of a request gets no answer.
                thread::spawn(move || gate.serve(client, server));
            }
        });
        gate
    }

    /// From now on `judge` says what becomes of each request, of which it gets the first line.
    pub fn judge(&self, judge: impl FnMut(&str) -> Deed + Send + 'static) {
        *self.judge.lock().expect("no judge panics") = Box::new(judge);
    }

    fn serve(&self, client: TcpStream, server: SocketAddr) -> io::Result<()> {
        let mut from = BufReader::new(client.try_clone()?);
        let (mut line, mut head, mut bytes) = (String::new(), String::new(), 0);
        from.read_line(&mut line)?;
        let deed = (self.judge.lock().expect("no judge panics"))(line.trim());
        loop {
            let mut header = String::new();
            from.read_line(&mut header)?;
            let name = header.split(':').next().unwrap_or_default().to_ascii_lowercase();
            match (name.trim(), deed) {
                ("", _) => break,
                ("connection", _) | ("if-match" | "if-none-match", Deed::Unconditional) => continue,
                ("content-length", _) => bytes = header[15..].trim().parse().expect("a number"),
                _ => {}
            }
            head += &header;
        }
        if deed == Deed::Lose {
            return Ok(());
        }
        let mut to = TcpStream::connect(server)?;
        to.write_all(format!("{line}{head}Connection: close\r\n\r\n").as_bytes())?;
        io::copy(&mut from.take(bytes), &mut to)?;
        let mut answer = Vec::new();
        to.read_to_end(&mut answer)?;
        match deed {
            Deed::LoseAnswer => return Ok(()),
            Deed::Busy => answer = BUSY.to_vec(),
            _ => {}
        }
        (&client).write_all(&answer)
    }
}

const BUSY: &[u8] = b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// A server over HTTP that gives each client this answer.
pub fn answering(answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for mut client in listener.incoming().map_while(Result::ok) {
            let mut request = [0; 4096];
            let _ = client.read(&mut request);
            let _ = client.write_all(answer.as_bytes());
        }
    });
    address
}

/// What a server that is no etcd answers.
pub const NOT_FOUND: &str = "HTTP/1.1 404 Not Found\r\nConnection: close\r\n\
    Content-Length: 21\r\n\r\n<html>not here</html>";

/// An answer without a body.
pub const NOTHING: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
