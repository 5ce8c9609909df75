//! The minimum of a load generator: wait, receive, send. Its CPU time is that of the kernel, the lower bound for every
//! program that waits with epoll.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use rustix::event::epoll;

use super::outputs::Figures;
use super::post::body;

/// Sends the same request over and over on each connection, and prints requests and seconds.
pub(crate) fn run(address: SocketAddr, connections: u64, seconds: u64) -> anyhow::Result<()> {
    let body = body("1");
    let request = format!(
        "POST / HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let mut streams = Vec::new();
    let mut buffer = [0; 4096];
    let mut answer_len = 0;
    for index in 0..connections {
        let mut stream = TcpStream::connect(address).with_context(|| address.to_string())?;
        stream.set_nodelay(true)?;
        // The first answer says how long all of them are: nothing in them changes its length.
        stream.write_all(request.as_bytes())?;
        answer_len = stream.read(&mut buffer)?;
        stream.set_nonblocking(true)?;
        epoll::add(&epoll, &stream, epoll::EventData::new_u64(index), epoll::EventFlags::IN)?;
        streams.push(stream);
    }
    let began = Instant::now();
    let span = Duration::from_secs(seconds);
    let mut requests = 0u64;
    for stream in &mut streams {
        stream.write_all(request.as_bytes())?;
    }
    let mut events = Vec::with_capacity(streams.len());
    while began.elapsed() < span {
        events.clear();
        epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut events), None)?;
        for event in &events {
            let stream = &mut streams[event.data.u64() as usize];
            let len = match stream.read(&mut buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                other => other?,
            };
            ensure!(len == answer_len, "an answer of {len} bytes came, not of {answer_len}");
            requests += 1;
            stream.write_all(request.as_bytes())?;
        }
    }
    println!("{requests} {}", began.elapsed().as_secs_f64());
    Ok(())
}

/// Reads what [`run`] printed.
pub(crate) fn read(output: &str) -> anyhow::Result<Figures> {
    let (requests, seconds) = output.trim().split_once(' ').context("no figures")?;
    let requests: f64 = requests.parse()?;
    let seconds: f64 = seconds.parse()?;
    Ok(Figures { requests, per_s: requests / seconds, ..Figures::default() })
}
