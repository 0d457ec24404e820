//! One exchange over wasi:http. Blocking, since a call does one thing after another, with the driver's own limit beside
//! the host's.

use super::{Reply, Request};
use crate::{Fault, fault};
use wasip2::clocks::monotonic_clock;
use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    ErrorCode, Fields, FutureIncomingResponse, IncomingResponse, Method, OutgoingBody, OutgoingRequest, Scheme,
};
use wasip2::io::{poll, streams::StreamError};

/// The most that one `blocking-write-and-flush` takes. Source: wasi:io/streams 0.2.
const LARGEST_WRITE: usize = 4_096;

pub(super) fn send(request: &Request) -> Result<Reply, Fault> {
    let outgoing = outgoing(request)?;
    let body = outgoing.body().map_err(|()| unsendable(request, "the body was taken already"))?;
    let answer = outgoing_handler::handle(outgoing, None).map_err(|code| lost(request, &code))?;
    write(request, body)?;
    receive(request, &wait_for(request, &answer)?)
}

fn outgoing(request: &Request) -> Result<OutgoingRequest, Fault> {
    let fields = Fields::new();
    for (name, value) in &request.headers {
        fields
            .append(name, value.as_bytes())
            .map_err(|refused| denied(request, &format!("header {name}: {refused}")))?;
    }
    let outgoing = OutgoingRequest::new(fields);
    let method = match request.method.as_str() {
        "GET" => Method::Get,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "PATCH" => Method::Patch,
        "DELETE" => Method::Delete,
        other => Method::Other(other.to_owned()),
    };
    outgoing.set_method(&method).map_err(|()| unsendable(request, "no such method"))?;
    outgoing.set_scheme(Some(&Scheme::Http)).map_err(|()| unsendable(request, "no such scheme"))?;
    outgoing
        .set_authority(Some(&request.endpoint))
        .map_err(|()| unsendable(request, "the endpoint's name is no authority"))?;
    outgoing.set_path_with_query(Some(&request.path)).map_err(|()| unsendable(request, "the path is no path"))?;
    Ok(outgoing)
}

/// A far side that answers before it has read everything closes the stream: what it answers says more than the broken
/// stream, so writing just ends then.
fn write(request: &Request, body: OutgoingBody) -> Result<(), Fault> {
    if let Some(bytes) = &request.body {
        let stream = body.write().map_err(|()| unsendable(request, "the body was written already"))?;
        for chunk in bytes.chunks(LARGEST_WRITE) {
            if stream.blocking_write_and_flush(chunk).is_err() {
                return Ok(());
            }
        }
    }
    OutgoingBody::finish(body, None).or_else(
        |code| {
            if request.body.is_some() { Ok(()) } else { Err(lost(request, &code)) }
        },
    )
}

fn wait_for(request: &Request, answer: &FutureIncomingResponse) -> Result<IncomingResponse, Fault> {
    let arrived = answer.subscribe();
    match request.within {
        None => arrived.block(),
        Some(limit) => {
            let ended = monotonic_clock::subscribe_duration(u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX));
            poll::poll(&[&arrived, &ended]);
        }
    }
    match answer.get() {
        None => Err(fault::retry(format!("{} had no answer in time", request.sentence()))),
        Some(Ok(Ok(response))) => Ok(response),
        Some(Ok(Err(code))) => Err(lost(request, &code)),
        Some(Err(())) => Err(unsendable(request, "the answer was taken already")),
    }
}

fn receive(request: &Request, response: &IncomingResponse) -> Result<Reply, Fault> {
    let headers = response.headers().entries();
    let headers = headers
        .into_iter()
        .map(|(name, value)| (name.to_lowercase(), String::from_utf8_lossy(&value).into_owned()))
        .collect();
    let body = response.consume().map_err(|()| unsendable(request, "the body was taken already"))?;
    let stream = body.stream().map_err(|()| unsendable(request, "the body was taken already"))?;
    let mut bytes = Vec::new();
    loop {
        match stream.blocking_read(64 * 1024) {
            Ok(chunk) => bytes.extend(chunk),
            Err(StreamError::Closed) => break,
            Err(StreamError::LastOperationFailed(error)) => {
                return Err(fault::retry(format!(
                    "{}: the answer was cut: {}",
                    request.sentence(),
                    error.to_debug_string()
                )));
            }
        }
    }
    Ok(Reply { status: response.status(), headers, body: bytes, asked: String::new() })
}

fn lost(request: &Request, code: &ErrorCode) -> Fault {
    match code {
        ErrorCode::HttpRequestDenied => denied(request, "endpoint, header or placeholder not allowed"),
        ErrorCode::ConnectionRefused => fault::retry(format!("{}: connection refused", request.sentence())),
        ErrorCode::ConnectionTerminated => {
            fault::retry(format!("{}: connection closed without an answer", request.sentence()))
        }
        code => fault::retry(format!("{}: {code}", request.sentence())),
    }
}

fn denied(request: &Request, why: &str) -> Fault {
    fault::broken(format!("{} was denied by the gate: {why}", request.sentence()))
}

fn unsendable(request: &Request, why: &str) -> Fault {
    fault::broken(format!("{} cannot be sent: {why}", request.sentence()))
}
