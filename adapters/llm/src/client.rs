//! The network: one request, one total deadline, one answer of bounded size.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use planner_core::{Consultation, Receipt, Thresholds};
use planner_ports::{Advised, Advisor};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use serde_json::{Map, Value};

use crate::digest::{sha256, told};
use crate::endpoint::Endpoint;
use crate::prompt::{allowed, asked, system, user};
use crate::reply::TIMEOUT;
use crate::reset::until_reset;
use crate::{
    Answer, CallFault, Class, Heard, LlmError, Provider, Question, RawReply, Rung, TEXT_BYTES_MAX,
    read, sort,
};

/// Longest body that is read.
const BODY_BYTES_MAX: usize = 65_536;

/// A key, shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

impl ApiKey {
    /// A key; blanks and line ends around it do not count.
    pub fn new(key: &str) -> Self {
        Self(key.trim().to_owned())
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(..)")
    }
}

/// Which model is asked, and how. Start from [`LlmSettings::new`] and change what differs.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LlmSettings {
    /// Whose dialect it speaks.
    pub provider: Provider,
    /// The base address, to which the dialect's path is added.
    pub url: String,
    /// The model.
    pub model: String,
    /// The key; none by default.
    pub key: Option<ApiKey>,
    /// Longest time for everything, connecting and the body included; 2.5 s by default.
    pub deadline: Duration,
    /// Most tokens of an answer, thoughts included; 512 by default.
    pub output_tokens_max: u32,
    /// How much the model may think, in its provider's word; not said by default.
    pub thinking: Option<String>,
    /// Whether thresholds are asked for; they are by default.
    pub asks_thresholds: bool,
    /// What stands in the body beside ours; nothing by default.
    pub extra_body: Map<String, Value>,
    /// Whether addresses of private networks may be asked, over plain HTTP too; not by default.
    pub allow_private: bool,
    /// Longest wait that is one; what asks for more is a spent quota. 5 minutes by default.
    pub wait_max: Duration,
    /// The operator's thresholds, which the prompt names and advice may only tighten.
    pub operator: Thresholds,
}

impl LlmSettings {
    /// Settings for a model of a provider, at its own public address where it has one.
    pub fn new(provider: Provider, model: impl Into<String>, operator: Thresholds) -> Self {
        Self {
            provider,
            url: String::from(provider.public_url()),
            model: model.into(),
            key: None,
            deadline: Duration::from_millis(2_500),
            output_tokens_max: 512,
            thinking: None,
            asks_thresholds: true,
            extra_body: Map::new(),
            allow_private: false,
            wait_max: Duration::from_secs(300),
            operator,
        }
    }
}

/// Everything about one call, for records.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Call {
    /// Who was asked.
    pub provider: Provider,
    /// The request's body; the key is none of it.
    pub request: Value,
    /// SHA-256 of the request's body, as hexadecimal digits.
    pub request_sha256: String,
    /// SHA-256 of what the model was told; see [`prompt_sha256`](crate::prompt_sha256).
    pub prompt_sha256: String,
    /// The model that answered, as it calls itself.
    pub model: Option<String>,
    /// The model that answered before, where it was another one: providers change it silently.
    pub model_before: Option<String>,
    /// The HTTP status; `None` when none came.
    pub status: Option<u16>,
    /// What the model wrote: untrusted.
    pub text: Option<String>,
    /// Tokens that it cost, where that is told.
    pub tokens: Option<u64>,
    /// How long it took.
    pub took: Duration,
    /// What was made of it.
    pub outcome: Result<Answer, CallFault>,
}

impl Call {
    /// As the planner takes it, with its receipt.
    pub fn advised(&self, consultation: &Consultation) -> Advised {
        let outcome = match &self.outcome {
            Ok(answer) => Ok(answer.advice(consultation.brief.thresholds)),
            Err(fault) => Err(fault.fault()),
        };
        Advised { outcome, receipt: Some(self.receipt()) }
    }

    /// As the journal has it.
    fn receipt(&self) -> Receipt {
        let verdict = match &self.outcome {
            Ok(_) => String::from("accepted"),
            Err(fault) => fault.code.clone(),
        };
        Receipt {
            provider: self.provider.to_string(),
            model: self.model.clone(),
            request_sha256: self.request_sha256.clone(),
            prompt_sha256: self.prompt_sha256.clone(),
            reply: self.text.as_deref().map(cut),
            verdict,
            tokens: self.tokens,
            took_ms: u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// As much of a text as is ever read.
fn cut(text: &str) -> String {
    let end = text.floor_char_boundary(TEXT_BYTES_MAX);
    text.get(..end).unwrap_or_default().to_owned()
}

/// A model as advisor.
///
/// A call is one request: nothing is tried again here. When to ask again is the planner's gateway's
/// business. Where a server does not know the way in which JSON is asked for, the next call asks in
/// the next way, and the one that works is kept.
pub struct LlmAdvisor {
    settings: LlmSettings,
    endpoint: Endpoint,
    client: Client,
    system: String,
    /// The rung that is asked on.
    rung: AtomicUsize,
    /// Whether a rung has worked; then it is kept.
    is_understood: AtomicBool,
    /// The model that answered last.
    answering: Mutex<Option<String>>,
}

impl fmt::Debug for LlmAdvisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LlmAdvisor").field(&self.settings).finish()
    }
}

impl LlmAdvisor {
    /// An advisor that has not asked anything yet.
    ///
    /// # Errors
    ///
    /// [`LlmError`] names the setting that cannot work.
    pub fn new(settings: LlmSettings) -> Result<Self, LlmError> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._:/@-".contains(&byte);
        let name = &settings.model;
        if !(1..=128).contains(&name.len()) || !name.bytes().all(legal) {
            return Err(LlmError::Model { name: name.clone() });
        }
        let endpoint = Endpoint::parse(&settings.url, settings.allow_private)?;
        let client = client(&settings, &endpoint)?;
        let system = system(settings.operator, settings.asks_thresholds);
        let (rung, is_understood) = (AtomicUsize::new(0), AtomicBool::new(false));
        let answering = Mutex::default();
        Ok(Self { settings, endpoint, client, system, rung, is_understood, answering })
    }

    /// Its settings.
    pub const fn settings(&self) -> &LlmSettings {
        &self.settings
    }

    /// Asks once, and tells everything about it.
    pub async fn ask(&self, consultation: &Consultation) -> Call {
        let began = Instant::now();
        let (user, actions) = (user(consultation), allowed(consultation));
        let settings = &self.settings;
        let question = Question {
            model: &settings.model,
            system: &self.system,
            user: &user,
            allowed: &actions,
            asks_thresholds: settings.asks_thresholds,
            output_tokens_max: settings.output_tokens_max,
            thinking: settings.thinking.as_deref(),
            extra_body: &settings.extra_body,
        };
        let rungs = settings.provider.rungs();
        let at = self.rung.load(Ordering::Relaxed) % rungs.len();
        let rung = rungs.get(at).copied().unwrap_or(Rung::Prompt);
        let request = settings.provider.request(&question, rung);
        let body = request.body.to_string();
        let mut call = Call {
            provider: settings.provider,
            request: request.body,
            request_sha256: sha256(body.as_bytes()),
            prompt_sha256: told(&self.system, &user),
            model: None,
            model_before: None,
            status: None,
            text: None,
            tokens: None,
            took: Duration::ZERO,
            outcome: Err(CallFault::new(Class::Transient, "unreachable")),
        };
        let mut sending = self.client.post(self.endpoint.with(&request.path)).body(body);
        for (name, value) in &request.headers {
            sending = sending.header(*name, *value);
        }
        match sending.send().await {
            Ok(response) => self.take(response, consultation, &mut call).await,
            Err(error) => {
                let fault = fault_of(&error);
                // What was not reached has cost nothing; what ran late may have cost anything.
                call.tokens = (fault.code != TIMEOUT).then_some(0);
                call.outcome = Err(fault);
            }
        }
        self.climb(at, rungs.len(), &mut call);
        call.model_before = self.replaced(call.model.as_deref());
        call.took = began.elapsed();
        call
    }

    /// Reads a reply.
    async fn take(&self, response: Response, consultation: &Consultation, call: &mut Call) {
        let status = response.status().as_u16();
        call.status = Some(status);
        let headers = headers(response.headers());
        let body = match read_body(response).await {
            Ok(body) => body,
            Err(fault) => {
                call.outcome = Err(fault);
                return;
            }
        };
        let raw = RawReply { status, headers: &headers, body: &body, at: SystemTime::now() };
        if !(200..300).contains(&status) {
            // Whoever is sent away has used no tokens.
            call.tokens = Some(0);
        }
        call.outcome = match sort(self.settings.provider, &raw, self.settings.wait_max) {
            Heard::Text(text) => {
                let asked = asked(consultation, self.settings.operator);
                let answer = read(&text.text, &text.finish, &asked);
                (call.model, call.tokens, call.text) = (text.model, text.tokens, Some(text.text));
                answer.map_err(|refused| CallFault::new(Class::Rejected, refused.to_string()))
            }
            Heard::Fault(mut fault) => {
                if fault.class == Class::Exhausted {
                    let reset = || until_reset(self.settings.provider, raw.at);
                    fault.wait.get_or_insert_with(reset);
                }
                Err(fault)
            }
        };
    }

    /// The model that `model` took the place of, if it did.
    fn replaced(&self, model: Option<&str>) -> Option<String> {
        let model = model?;
        // Whoever panicked left a whole name.
        let mut answering = self.answering.lock().unwrap_or_else(PoisonError::into_inner);
        let before = answering.replace(model.to_owned());
        before.filter(|before| before != model)
    }

    /// Goes to the next rung where this one was not understood, and stays where one worked. While
    /// there is another rung the settings are not to blame, and it is asked on after a moment.
    fn climb(&self, at: usize, rungs: usize, call: &mut Call) {
        if call.text.is_some() {
            self.is_understood.store(true, Ordering::Relaxed);
            return;
        }
        let Err(fault) = &mut call.outcome else { return };
        let is_dialect = matches!(call.status, Some(400 | 422 | 500 | 501));
        let is_key = fault.code.contains("KEY");
        if !is_dialect || is_key || self.is_understood.load(Ordering::Relaxed) {
            return;
        }
        self.rung.store((at + 1) % rungs, Ordering::Relaxed);
        if at + 1 < rungs {
            fault.class = Class::Transient;
        }
    }
}

#[async_trait]
impl Advisor for LlmAdvisor {
    async fn advise(&self, consultation: &Consultation) -> Advised {
        self.ask(consultation).await.advised(consultation)
    }
}

/// A client that follows nobody, asks no proxy, and sends the key in a header that is never shown.
fn client(settings: &LlmSettings, endpoint: &Endpoint) -> Result<Client, LlmError> {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    headers.insert("accept", HeaderValue::from_static("application/json"));
    if let Some(ApiKey(key)) = &settings.key {
        let (name, before) = settings.provider.key_header();
        let value = HeaderValue::from_str(&format!("{before}{key}"));
        let mut value = value.map_err(|_| LlmError::Key)?;
        value.set_sensitive(true);
        headers.insert(HeaderName::from_static(name), value);
    }
    let client = Client::builder()
        .default_headers(headers)
        .user_agent(concat!("planner/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .no_proxy()
        .https_only(endpoint.is_https_only())
        .dns_resolver(endpoint.resolver())
        .tls_backend_preconfigured(tls()?)
        .timeout(settings.deadline)
        .connect_timeout(settings.deadline)
        .pool_max_idle_per_host(1)
        .build();
    // Its error could quote what it was given.
    client.map_err(|_| LlmError::Client { cause: String::from("it cannot be made") })
}

/// TLS with the system's certificates and the cipher provider of the other adapters.
fn tls() -> Result<rustls::ClientConfig, LlmError> {
    let mut roots = rustls::RootCertStore::empty();
    let (_added, _unreadable_ones_are_left_out) =
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = rustls::crypto::ring::default_provider();
    let config = rustls::ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .map_err(|error| LlmError::Client { cause: error.to_string() })?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// The headers of a reply as text.
fn headers(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |(name, value): (&HeaderName, &HeaderValue)| {
        Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
    };
    headers.iter().filter_map(text).collect()
}

/// The body, piece by piece, up to its cap. It is never unpacked: what is packed is no JSON.
async fn read_body(mut response: Response) -> Result<Vec<u8>, CallFault> {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(piece)) if body.len() + piece.len() <= BODY_BYTES_MAX => body.extend(piece),
            Ok(Some(_)) => return Err(CallFault::new(Class::Rejected, "too_large")),
            Ok(None) => return Ok(body),
            Err(error) => return Err(fault_of(&error)),
        }
    }
}

/// A failure on the way; its text, which may quote the address, is dropped.
fn fault_of(error: &reqwest::Error) -> CallFault {
    let code = if error.is_timeout() { TIMEOUT } else { "unreachable" };
    CallFault::new(Class::Transient, code)
}
