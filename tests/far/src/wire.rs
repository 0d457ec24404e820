//! HTTP/1.0 to one address: one exchange a connection, and no chunks in the answer.

use moganite_driver::{Answer, Reply, Request, fault, testing};
use serde_json::Value;
use std::io::{ErrorKind, Read, Result, Write};
use std::net::TcpStream;

/// Sends a driver's request as it stands to `http://HOST:PORT` or `HOST:PORT`. What breaks on the way is a retry.
pub fn send(address: &str, request: &Request) -> Answer<Reply> {
    exchange(address.trim_start_matches("http://"), request).map_err(|error| fault::retry(error.to_string()))
}

fn exchange(address: &str, request: &Request) -> Result<Reply> {
    let mut stream = TcpStream::connect(address)?;
    let body = request.body.clone().unwrap_or_default();
    let mut head = format!("{} {} HTTP/1.0\r\nhost: {address}\r\n", request.method, request.path);
    for (name, value) in &request.headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += &format!("content-length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes())?;
    stream.write_all(&body)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    read(&answer).ok_or_else(|| ErrorKind::UnexpectedEof.into())
}

/// None: it was cut before its head ended.
fn read(answer: &[u8]) -> Option<Reply> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let status = head.split_whitespace().nth(1)?.parse().ok()?;
    let headers = head.lines().skip(1).filter_map(|line| line.split_once(": "));
    let mut reply = testing::reply(status, Value::Null).ok()?;
    reply.headers = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
    reply.body = answer[end + 4..].to_vec();
    Some(reply)
}
