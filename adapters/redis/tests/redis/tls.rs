//! A real Redis that speaks TLS alone.

use std::path::Path;
use std::process::{Command, Stdio};

use planner_redis::{Bus, BusError, Channel, RedisSettings};

use crate::support::{Redis, shop};

/// Runs openssl in `folder`.
fn openssl(folder: &Path, words: &str) {
    let mut command = Command::new("openssl");
    command.args(words.split(' ')).current_dir(folder);
    let status = command.stderr(Stdio::null()).stdout(Stdio::null()).status();
    assert!(status.expect("openssl is installed").success(), "openssl {words}");
}

/// An authority, and a certificate for 127.0.0.1 that it signed.
fn certify(folder: &Path) {
    let key = "-newkey rsa:2048 -nodes -days 2";
    openssl(folder, &format!("req -x509 {key} -keyout ca.key -out ca.pem -subj /CN=test-ca"));
    openssl(
        folder,
        "req -newkey rsa:2048 -nodes -keyout redis.key -out redis.csr -subj /CN=redis -addext \
         subjectAltName=IP:127.0.0.1",
    );
    openssl(
        folder,
        "x509 -req -in redis.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -copy_extensions \
         copy -out redis.pem",
    );
}

#[tokio::test]
#[ignore = "needs redis-server and openssl"]
async fn a_server_whose_certificate_is_trusted_is_spoken_to_and_no_other() {
    let folder = tempfile::tempdir().expect("a folder");
    certify(folder.path());
    let path = |name: &str| folder.path().join(name).display().to_string();
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = free.local_addr().expect("an address").port().to_string();
    drop(free);
    let (certificate, key, authority) = (path("redis.pem"), path("redis.key"), path("ca.pem"));
    let _redis = Redis::start(&[
        "--tls-port",
        &port,
        "--tls-cert-file",
        &certificate,
        "--tls-key-file",
        &key,
        "--tls-ca-cert-file",
        &authority,
        "--tls-auth-clients",
        "no",
    ]);
    let mut settings = RedisSettings::new(format!("rediss://127.0.0.1:{port}/"), shop());
    let stranger = Bus::open(settings.clone()).await.expect("settings");
    let refused = stranger.publish(Channel::Results, "{}").await;
    assert!(matches!(refused, Err(BusError::Unavailable { .. })), "{refused:?}");
    settings.ca_file = Some(authority.into());
    let trusted = Bus::open(settings).await.expect("settings");
    trusted.publish(Channel::Results, "{}").await.expect("an answer");
}
