//! An S3 server on this machine, and a way to it that can be broken.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A server of its own for each test, empty but for one bucket; gone with this value.
pub struct Server {
    process: Child,
    address: String,
}

/// The bucket.
pub const BUCKET: &str = "pelton";

impl Server {
    /// Starts one; `None` after a printed skip when none is installed.
    pub fn start(tls: bool) -> Option<Server> {
        let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/objects");
        if !home.join("moto").is_dir() {
            println!("SKIPPED: no S3 server is installed; run scripts/install objects");
            return None;
        }
        let port = free_port();
        let mut program = Command::new("python3");
        program.args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()]);
        if tls {
            program.arg("--ssl");
        }
        program.env("PYTHONPATH", home).stdout(Stdio::null()).stderr(Stdio::null());
        let process = program.spawn().expect("python3 starts");
        let server = Server { process, address: format!("127.0.0.1:{port}") };
        let deadline = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(&server.address).is_err() {
            assert!(Instant::now() < deadline, "the S3 server does not start");
            std::thread::sleep(Duration::from_millis(50));
        }
        if !tls {
            server.ask("PUT", "");
        }
        Some(server)
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// What the server answers to a request about the bucket, the head included.
    pub fn ask(&self, method: &str, query: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).expect("the server is there");
        write!(
            stream,
            "{method} /{BUCKET}{query} HTTP/1.1\r\nHost: {}\r\nContent-Length: 0\r\n\
             Connection: close\r\n\r\n",
            self.address
        )
        .expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.contains(" 200 "), "{answer}");
        answer
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound").port()
}

/// What becomes of a request on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// It arrives.
    Open,
    /// The connection is closed at once.
    Closed,
    /// Nobody answers.
    Silent,
    /// What has this in its first line is forbidden.
    Forbids(&'static str),
}

/// A port that leads to a server. One connection carries one request, as this server answers.
pub struct Road {
    way: Arc<Mutex<Way>>,
    address: String,
}

impl Road {
    /// A port of its own; its threads end with the tests.
    pub fn to(server: &Server) -> Road {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound").to_string();
        let way = Arc::new(Mutex::new(Way::Open));
        let (target, shared) = (server.address.clone(), Arc::clone(&way));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (target, way) = (target.clone(), shared.lock().expect("no panic").clone());
                std::thread::spawn(move || carry(stream, &target, &way));
            }
        });
        Road { way, address }
    }

    pub fn set(&self, way: Way) {
        *self.way.lock().expect("no panic") = way;
    }

    pub fn address(&self) -> &str {
        &self.address
    }
}

/// A connection that breaks is what these are for.
fn carry(mut from: TcpStream, target: &str, way: &Way) -> Option<()> {
    if *way == Way::Closed {
        return None;
    }
    let mut head = vec![0; 4096];
    let count = from.read(&mut head).ok()?;
    match way {
        Way::Silent => std::thread::sleep(Duration::from_secs(3600)),
        Way::Forbids(part) => {
            let line = head[..count].split(|&byte| byte == b'\r').next()?;
            if String::from_utf8_lossy(line).contains(part) {
                // The rest is read, so that closing does not take the answer along.
                from.set_read_timeout(Some(Duration::from_millis(300))).ok()?;
                let _ = std::io::copy(&mut from, &mut std::io::sink());
                let answer = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\
                    Connection: close\r\n\r\n";
                return from.write_all(answer).ok();
            }
        }
        _ => {}
    }
    let mut to = TcpStream::connect(target).ok()?;
    to.write_all(&head[..count]).ok()?;
    let (mut upload, mut server) = (from.try_clone().ok()?, to.try_clone().ok()?);
    std::thread::spawn(move || std::io::copy(&mut upload, &mut server));
    std::io::copy(&mut to, &mut from).ok()?;
    from.shutdown(Shutdown::Both).ok()
}
