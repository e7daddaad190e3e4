//! A server of a test's own, on loopback, that behaves in every way there is.

#![allow(dead_code, reason = "each test program uses its part")]

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use planner_core::{AdviceConfig, Config, Consultation, ReplicaBounds, Thresholds};
use planner_llm::{ApiKey, LlmSettings, Provider, sample};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

pub(crate) const KEY: &str = "CANARY-llm-0123456789";
pub(crate) const OPERATOR: Thresholds = Thresholds { up_ratio: 8.0, down_ratio: 1.1, up_z: 6.0 };

/// A consultation as a planner makes it.
pub(crate) fn consultation() -> Consultation {
    let bounds = ReplicaBounds::new(2, 10).expect("bounds");
    let config = Config::builder(bounds).advice(AdviceConfig::default()).build();
    sample(config.expect("settings")).expect("a question")
}

/// What a server does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Behaviour {
    /// Answers with a status, headers and a body.
    Reply(u16, &'static str, String),
    /// A byte each half second.
    Drip,
    /// Says nothing.
    Hang,
    /// Announces more than it sends.
    Truncate,
    /// Closes at once.
    Reset,
}

/// A server of a test's own, and what it was asked.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    left: Arc<AtomicUsize>,
}

impl Server {
    /// Behaves in one way after the other, the last one for ever.
    pub(crate) async fn start(behaviours: Vec<Behaviour>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        let left = Arc::new(AtomicUsize::new(0));
        let gone = Arc::clone(&left);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                let (seen, behaviours) = (Arc::clone(&seen), behaviours.clone());
                let gone = Arc::clone(&gone);
                tokio::spawn(async move {
                    serve(stream, seen, behaviours).await;
                    gone.fetch_add(1, Ordering::Relaxed);
                });
            }
        });
        Self { address, asked, left }
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("a list").clone()
    }

    /// Connections that have ended.
    pub(crate) fn left(&self) -> usize {
        self.left.load(Ordering::Relaxed)
    }
}

async fn serve(mut stream: TcpStream, seen: Arc<Mutex<Vec<String>>>, behaviours: Vec<Behaviour>) {
    let mut text = Vec::new();
    let mut piece = [0; 4_096];
    loop {
        let Ok(read) = stream.read(&mut piece).await else { return };
        text.extend_from_slice(&piece[..read]);
        let whole = String::from_utf8_lossy(&text).into_owned();
        let Some((head, body)) = whole.split_once("\r\n\r\n") else {
            if read == 0 {
                return;
            }
            continue;
        };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if body.len() >= length.and_then(|text| text.parse().ok()).unwrap_or(0) {
            break;
        }
    }
    let number = {
        let mut seen = seen.lock().expect("a list");
        seen.push(String::from_utf8_lossy(&text).into_owned());
        seen.len() - 1
    };
    match &behaviours[number.min(behaviours.len() - 1)] {
        Behaviour::Reply(status, headers, body) => {
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status} X\r\n{headers}content-length: {length}\r\n\
                 connection: close\r\n\r\n"
            );
            let _gone = stream.write_all(format!("{head}{body}").as_bytes()).await;
        }
        Behaviour::Drip => {
            let _gone = stream.write_all(b"HTTP/1.1 200 X\r\ncontent-length: 900\r\n\r\n").await;
            while stream.write_all(b" ").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        }
        Behaviour::Hang => tokio::time::sleep(Duration::from_secs(60)).await,
        Behaviour::Truncate => {
            let _gone = stream.write_all(b"HTTP/1.1 200 X\r\ncontent-length: 900\r\n\r\n{").await;
        }
        Behaviour::Reset => {}
    }
}

pub(crate) fn settings(provider: Provider, address: SocketAddr) -> LlmSettings {
    let mut settings = LlmSettings::new(provider, "test-model", OPERATOR);
    settings.url = format!("http://{address}/v1");
    settings.key = Some(ApiKey::new(KEY));
    settings.deadline = Duration::from_millis(600);
    settings
}

/// A model's text in a provider's dialect.
pub(crate) fn said(provider: Provider, text: &str) -> String {
    match provider {
        Provider::Gemini => json!({"candidates": [{"content": {"parts": [{"text": text}]},
            "finishReason": "STOP"}], "modelVersion": "m-2", "usageMetadata": {"totalTokenCount": 9}}),
        Provider::OpenAi => json!({"choices": [{"message": {"content": text},
            "finish_reason": "stop"}], "model": "m-2", "usage": {"total_tokens": 9}}),
        Provider::Anthropic => json!({"content": [{"type": "text", "text": text}],
            "stop_reason": "end_turn", "model": "m-2", "usage": {"input_tokens": 5, "output_tokens": 4}}),
        _ => json!({"message": {"content": text}, "done_reason": "stop", "model": "m-2",
            "prompt_eval_count": 5, "eval_count": 4}),
    }
    .to_string()
}

pub(crate) fn ok(provider: Provider, text: &str) -> Behaviour {
    Behaviour::Reply(200, "", said(provider, text))
}
