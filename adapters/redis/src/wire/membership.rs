//! Which replicas there are, as their executor knows them.

use std::net::SocketAddr;

use planner_core::ServiceId;
use planner_ports::{Member, ReplicaCounts, ReplicaState};

use super::fields::{Fields, need};
use super::write::Writer;
use super::{VERSION, WireError};

/// Most replicas of one message; more would not fit into it.
const REPLICAS_MAX: usize = 512;
/// Most characters of a slot's name.
const SLOT_MAX: usize = 64;

/// All replicas of a service at one moment.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Membership {
    /// Whose replicas.
    pub service: ServiceId,
    /// The newest epoch whose orders the executor obeys.
    pub epoch: u64,
    /// Rises with every change, also over a restart of the executor.
    pub seq: u64,
    /// When it was sent, seconds since 1970.
    pub ts: f64,
    /// The replicas.
    pub replicas: Vec<Member>,
}

impl Membership {
    /// What an executor says at `ts` seconds since 1970.
    pub const fn new(
        service: ServiceId,
        epoch: u64,
        seq: u64,
        ts: f64,
        replicas: Vec<Member>,
    ) -> Self {
        Self { service, epoch, seq, ts, replicas }
    }

    /// Where requests may go.
    pub fn ready(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        let ready = self.replicas.iter().filter(|member| member.state == ReplicaState::Ready);
        ready.filter_map(|member| member.address)
    }

    /// How many there are in each state.
    pub fn counts(&self) -> ReplicaCounts {
        ReplicaCounts::of(&self.replicas)
    }

    /// Reads one.
    ///
    /// # Errors
    ///
    /// [`WireError`] names the field, its value and the rule.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let fields = Fields::parse(bytes)?;
        let rule = "a list of at most 512 replicas";
        let replicas = fields.objects("replicas", REPLICAS_MAX, rule)?;
        need("v", fields.version()?)?;
        Ok(Self {
            service: need("service", fields.service()?)?,
            epoch: need("epoch", fields.index("epoch")?)?,
            seq: need("seq", fields.index("seq")?)?,
            ts: need("ts", fields.wall("ts")?)?,
            replicas: need("replicas", replicas)?
                .iter()
                .map(read_member)
                .collect::<Result<_, _>>()?,
        })
    }

    /// As it is sent.
    pub fn write(&self) -> String {
        let mut writer = Writer::new();
        writer.put("v", &VERSION);
        writer.put("service", self.service.as_str());
        writer.put("epoch", &self.epoch);
        writer.put("seq", &self.seq);
        writer.put("ts", &self.ts);
        writer.put_objects("replicas", self.replicas.iter().map(write_member));
        writer.end()
    }
}

fn write_member(member: &Member) -> Writer {
    let mut writer = Writer::new();
    writer.put("slot", &member.slot);
    writer.put("addr", &member.address.map(|address| address.to_string()));
    writer.put("state", state_word(member.state));
    writer
}

fn read_member(fields: &Fields) -> Result<Member, WireError> {
    let slot = fields.word("slot", "1 to 64 of A-Z, a-z, 0-9, '_', '.' and '-'", |text| {
        is_slot(text).then(|| text.to_owned())
    })?;
    let state = fields.word("state", "starting, ready or draining", |text| {
        [ReplicaState::Starting, ReplicaState::Ready, ReplicaState::Draining]
            .into_iter()
            .find(|state| state_word(*state) == text)
    })?;
    Ok(Member {
        slot: need("slot", slot)?,
        address: fields.word("addr", "an IP address with a port", |text| text.parse().ok())?,
        state: need("state", state)?,
    })
}

/// Whether a slot may have this name.
pub(crate) fn is_slot(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    (1..=SLOT_MAX).contains(&text.len()) && text.bytes().all(legal)
}

const fn state_word(state: ReplicaState) -> &'static str {
    match state {
        ReplicaState::Draining => "draining",
        ReplicaState::Ready => "ready",
        ReplicaState::Starting => "starting",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn membership() -> Membership {
        let member = |slot: &str, address: Option<&str>, state| Member {
            slot: String::from(slot),
            address: address.map(|text| text.parse().expect("an address")),
            state,
        };
        Membership::new(
            ServiceId::new("shop").expect("a name"),
            4,
            9,
            1_000.25,
            vec![
                member("app-1", Some("10.0.0.1:8080"), ReplicaState::Ready),
                member("app-2", None, ReplicaState::Starting),
                member("app_3.x", Some("[::1]:80"), ReplicaState::Draining),
            ],
        )
    }

    #[test]
    fn a_membership_comes_back_as_it_was_sent() {
        let membership = membership();
        assert_eq!(Membership::parse(membership.write().as_bytes()), Ok(membership.clone()));
        assert_eq!(membership.ready().count(), 1);
        assert_eq!(membership.counts(), ReplicaCounts { ready: 1, starting: 1, draining: 1 });
    }

    #[test]
    fn a_name_that_could_be_more_than_a_name_is_refused() {
        for slot in ["", "a b", "a/b", "a;b", "ä", &"a".repeat(65)] {
            let mut membership = membership();
            membership.replicas[0].slot = String::from(slot);
            let error = Membership::parse(membership.write().as_bytes()).expect_err("refused");
            assert!(error.to_string().starts_with("slot: "), "{error}");
        }
    }

    #[test]
    fn an_address_that_is_none_is_refused() {
        for address in ["lb:80", "10.0.0.1", "10.0.0.1:80;", "10.0.0.1:99999"] {
            let text = membership().write().replace("10.0.0.1:8080", address);
            let error = Membership::parse(text.as_bytes()).expect_err("refused").to_string();
            assert!(error.ends_with("is not an IP address with a port; fix its sender"), "{error}");
        }
    }

    #[test]
    fn the_longest_membership_fits_into_a_message() {
        let member = Member {
            slot: "a".repeat(64),
            address: Some("[ffff:ffff::1]:65535".parse().expect("an address")),
            state: ReplicaState::Draining,
        };
        let service = ServiceId::new("a".repeat(63)).expect("a name");
        let replicas = vec![member; REPLICAS_MAX];
        let text = Membership::new(service, 1, 1, 1.0, replicas).write();
        assert!(text.len() <= super::super::BYTES_MAX, "{} bytes", text.len());
        assert!(Membership::parse(text.as_bytes()).is_ok());
    }
}
