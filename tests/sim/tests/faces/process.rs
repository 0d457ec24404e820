//! The binary: one line with the addresses, served until its standard input closes; and what a dropped simulator leaves, which is nothing.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::bench::Bench;

#[tokio::test(flavor = "multi_thread")]
async fn the_binary_prints_its_addresses_and_ends_with_its_input() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_moganite-sim"))
        .args(["--systems", "3", "--assemble-ms", "10"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let addresses: Value = serde_json::from_str(&line).unwrap();
    let bench = Bench::new().await;
    let got = bench.send("GET", addresses["valence"].as_str().unwrap(), "/v1/systems", Value::Null, &[]).await.unwrap();
    assert_eq!(got.body.as_array().unwrap().len(), 3);
    for side in ["podm", "ironic", "control"] {
        assert!(addresses[side].as_str().unwrap().starts_with("http://127.0.0.1:"));
    }
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}

#[tokio::test]
async fn a_dropped_simulator_answers_nobody_also_on_open_connections() {
    let (bench, other) = (Bench::new().await, Bench::new().await);
    let address = bench.sim.addresses().valence.clone();
    assert_eq!(other.send("GET", &address, "/v1/nodes", Value::Null, &[]).await.unwrap().status, 200);
    drop(bench);
    assert!(other.send("GET", &address, "/v1/nodes", Value::Null, &[]).await.is_none());
}
