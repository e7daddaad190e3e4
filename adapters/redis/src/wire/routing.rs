//! Where requests go, as the load balancer's keeper has verified it.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use planner_core::ServiceId;

use super::fields::{Fields, need};
use super::write::Writer;
use super::{VERSION, WireError};

/// Most addresses of one message.
const ADDRESSES_MAX: usize = 512;

/// What is in effect. Sent after a reload is verified, and once more when what was there before is
/// gone.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Routing {
    /// Whose requests.
    pub service: ServiceId,
    /// The load balancer's name for this membership: 1 to 64 hexadecimal digits.
    pub generation: String,
    /// Where new requests go.
    pub addrs: BTreeSet<SocketAddr>,
    /// Whether requests to every other address are over, too.
    pub drained: bool,
    /// The [`Membership::seq`](super::Membership::seq) that is in effect, where it is known.
    pub seq: Option<u64>,
    /// When it was sent, seconds since 1970.
    pub ts: f64,
}

impl Routing {
    /// What is in effect at `ts` seconds since 1970; not yet known to be drained.
    pub fn new(
        service: ServiceId,
        generation: impl Into<String>,
        addrs: impl IntoIterator<Item = SocketAddr>,
        ts: f64,
    ) -> Self {
        let generation = generation.into();
        let addrs = addrs.into_iter().collect();
        Self { service, generation, addrs, drained: false, seq: None, ts }
    }

    /// The same once the requests before it are over, as of `ts` seconds since 1970.
    #[must_use]
    pub const fn drained(mut self, ts: f64) -> Self {
        (self.drained, self.ts) = (true, ts);
        self
    }

    /// The same, for the membership of this number.
    #[must_use]
    pub const fn answering(mut self, seq: u64) -> Self {
        self.seq = Some(seq);
        self
    }

    /// Reads one.
    ///
    /// # Errors
    ///
    /// [`WireError`] names the field, its value and the rule.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let fields = Fields::parse(bytes)?;
        let generation = fields.word("generation", "1 to 64 hexadecimal digits", |text| {
            let digits = text.bytes().all(|byte| byte.is_ascii_hexdigit());
            (digits && (1..=64).contains(&text.len())).then(|| text.to_owned())
        })?;
        let rule = "at most 512 IP addresses with a port";
        let addrs = fields.list("addrs", ADDRESSES_MAX, rule, |value| {
            value.as_str().and_then(|text| text.parse().ok())
        })?;
        need("v", fields.version()?)?;
        Ok(Self {
            service: need("service", fields.service()?)?,
            generation: need("generation", generation)?,
            addrs: need("addrs", addrs)?.into_iter().collect(),
            drained: fields.flag("drained")?.unwrap_or(false),
            seq: fields.index("seq")?,
            ts: need("ts", fields.wall("ts")?)?,
        })
    }

    /// As it is sent.
    pub fn write(&self) -> String {
        let mut writer = Writer::new();
        writer.put("v", &VERSION);
        writer.put("service", self.service.as_str());
        writer.put("generation", &self.generation);
        let addrs: Vec<String> = self.addrs.iter().map(ToString::to_string).collect();
        writer.put("addrs", &addrs);
        writer.put("drained", &self.drained);
        writer.put_some("seq", self.seq);
        writer.put("ts", &self.ts);
        writer.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_routing_comes_back_as_it_was_sent() {
        let service = ServiceId::new("shop").expect("a name");
        let addrs: [SocketAddr; 2] = [([10, 0, 0, 1], 80).into(), ([10, 0, 0, 2], 80).into()];
        let routing = Routing::new(service, "0aF9", addrs, 5.5);
        for routing in [routing.clone(), routing.clone().drained(9.5), routing.answering(7)] {
            assert_eq!(Routing::parse(routing.write().as_bytes()), Ok(routing));
        }
    }

    #[test]
    fn a_generation_that_is_no_number_is_refused() {
        let text = b"{\"v\":1,\"service\":\"shop\",\"generation\":\"x\",\"addrs\":[],\"ts\":1}";
        assert_eq!(
            Routing::parse(text).expect_err("refused").to_string(),
            "generation: \\\"x\\\" is not 1 to 64 hexadecimal digits; fix its sender"
        );
    }
}
