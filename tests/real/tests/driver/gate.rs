//! What the host is to a driver, as far as these tests need it: requests go to the bound origins, placeholders are filled in, the token
//! is kept from the declared answer, and a verb is called until it ends.

use moganite_driver::{Context, Fault, Pause, Reply, Request, fault, testing};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Shared by every thread that plays the host.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gate {
    /// `127.0.0.1:PORT`.
    pub(crate) ironic: String,
    pub(crate) keystone: String,
    pub(crate) secret: String,
    pub(crate) token: Arc<Mutex<Option<String>>>,
    pub(crate) logins: Arc<Mutex<usize>>,
}

/// What a doing verb answered, and the last checkpoint that it stored.
#[derive(Debug)]
pub(crate) struct Did<T> {
    pub(crate) answer: Result<T, Fault>,
    pub(crate) trail: Option<Vec<u8>>,
}

impl Gate {
    /// From now on this thread's driver speaks through it.
    pub(crate) fn open(&self) {
        let gate = self.clone();
        testing::far_side(move |request| gate.pass(request));
        testing::set_now(since_1970());
    }

    pub(crate) fn logins(&self) -> usize {
        *self.logins.lock().unwrap()
    }

    fn pass(&self, request: &Request) -> Result<Reply, Fault> {
        let token = self.token.lock().unwrap().clone();
        let mut request = request.clone();
        for (_, value) in &mut request.headers {
            if value == "{{session.token}}" {
                let Some(token) = &token else { return testing::reply(401, json!({ "gate": "no session token" })) };
                value.clone_from(token);
            }
        }
        if let Some(body) = &mut request.body {
            let text = String::from_utf8(body.clone()).unwrap().replace("{{secret.password}}", &self.secret);
            *body = text.into_bytes();
        }
        let origin = if request.endpoint == "keystone" { &self.keystone } else { &self.ironic };
        let reply = exchange(origin, &request).map_err(|error| fault::retry(error.to_string()))?;
        if let Some(token) = reply.header("x-subject-token") {
            *self.token.lock().unwrap() = Some(token.to_owned());
            *self.logins.lock().unwrap() += 1;
        }
        Ok(reply)
    }
}

/// Stores each checkpoint, waits as asked, and repeats what is to be retried, forty times at most.
pub(crate) fn until_done<T>(settings: &Value, call: impl Fn(Context) -> Result<Result<T, Pause>, Fault>) -> Did<T> {
    let mut trail: Option<Vec<u8>> = None;
    let mut attempt = 1;
    for _ in 0..600 {
        let cx = Context { attempt, checkpoint: trail.clone(), ..testing::context(settings.to_string()) };
        match call(cx) {
            Ok(Ok(done)) => return Did { answer: Ok(done), trail },
            Ok(Err(pause)) => {
                trail = Some(pause.checkpoint);
                attempt = 1;
                pass(Duration::from_millis(pause.after));
            }
            Err(Fault::Retry(_)) if attempt < 40 => {
                attempt += 1;
                pass(Duration::from_millis(500));
            }
            Err(fault) => return Did { answer: Err(fault), trail },
        }
    }
    panic!("no end")
}

#[allow(clippy::disallowed_methods, reason = "waits for real programs, whose time is not ours to move")]
fn pass(time: Duration) {
    std::thread::sleep(time);
    testing::set_now(since_1970());
}

#[allow(clippy::disallowed_methods, reason = "real programs have the machine's time")]
fn since_1970() -> Duration {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap()
}

/// HTTP/1.0: one exchange a connection, and no chunks in the answer.
fn exchange(origin: &str, request: &Request) -> std::io::Result<Reply> {
    let mut stream = TcpStream::connect(origin)?;
    let body = request.body.clone().unwrap_or_default();
    let mut head = format!("{} {} HTTP/1.0\r\nhost: {origin}\r\n", request.method, request.path);
    for (name, value) in &request.headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += &format!("content-length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes())?;
    stream.write_all(&body)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").ok_or(std::io::ErrorKind::UnexpectedEof)?;
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let status = head.split_whitespace().nth(1).and_then(|status| status.parse().ok());
    let Ok(mut reply) = testing::reply(status.unwrap_or(0), Value::Null) else { panic!("no reply") };
    reply.body = answer[end + 4..].to_vec();
    for line in head.lines().skip(1) {
        if let Some((name, value)) = line.split_once(": ") {
            reply.headers.push((name.to_lowercase(), value.to_owned()));
        }
    }
    Ok(reply)
}
