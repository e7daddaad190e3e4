//! Parts of several programs, made from settings.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use planner_core::ServiceId;
use planner_examples_local::settings::Settings;
use planner_nginx::NginxSettings;
use planner_redis::wire::MacKey;
use planner_redis::{Bus, Mode, RedisSettings};

use crate::program::Failure;

/// The service of the settings.
pub(crate) fn service(settings: &Settings) -> Result<ServiceId, Failure> {
    Ok(ServiceId::new(settings.text("SERVICE").unwrap_or_default())?)
}

/// Redis, for the service of the settings, for those who only show or measure.
pub(crate) async fn bus(settings: &Settings) -> Result<Bus, Failure> {
    Ok(Bus::open(redis(settings)?).await?)
}

/// The same for those who order, obey and route: with the key, where there is one.
pub(crate) async fn sealed_bus(settings: &Settings) -> Result<Bus, Failure> {
    let mut redis = redis(settings)?;
    redis.mac_key = settings.text("KEY_FILE").map(MacKey::read).transpose()?;
    Ok(Bus::open(redis).await?)
}

fn redis(settings: &Settings) -> Result<RedisSettings, Failure> {
    let (host, port) =
        (settings.text("REDIS_HOST").unwrap_or_default(), settings.count("REDIS_PORT")?);
    let plain = format!("redis://{host}:{port}/");
    let url = settings.text("REDIS_URL").map_or(plain, str::to_owned);
    let mut redis = RedisSettings::new(url, service(settings)?);
    redis.ca_file = settings.text("REDIS_CA_FILE").map(PathBuf::from);
    redis.mode = match settings.text("BUS") {
        Some("streams") => Mode::Streams,
        Some("pubsub") => Mode::PubSub,
        _ => return Err(settings.not("BUS", "streams or pubsub").into()),
    };
    Ok(redis)
}

/// The folder of what outlives a program; made where it is missing.
pub(crate) fn state_dir(settings: &Settings) -> Result<PathBuf, Failure> {
    let folder = PathBuf::from(settings.text("STATE_DIR").unwrap_or("."));
    std::fs::create_dir_all(&folder).map_err(|cause| {
        format!("STATE_DIR: {}: {cause}; name a folder that can be written", folder.display())
    })?;
    Ok(folder)
}

/// A setting that is an address.
pub(crate) fn address(settings: &Settings, name: &str) -> Result<Option<SocketAddr>, Failure> {
    Ok(settings.parsed(name, "an address and a port like 127.0.0.1:8099")?)
}

/// nginx as the settings say.
pub(crate) fn nginx(settings: &Settings) -> Result<NginxSettings, Failure> {
    let text = |name| settings.text(name).unwrap_or_default();
    let file = Path::new(text("CONF_DIR")).join("planner-upstream.conf");
    let status = address(settings, "NGINX_STATUS")?
        .ok_or_else(|| settings.not("NGINX_STATUS", "a free loopback address"))?;
    let mut nginx = NginxSettings::new(text("NGINX_CONF"), file, text("NGINX_PID"), status);
    nginx.log = address(settings, "NGINX_LOG")?;
    Ok(nginx)
}
