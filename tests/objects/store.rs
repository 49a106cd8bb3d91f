//! The store itself: whole objects, uploads that fail, a server that is away, one owner.

use pelton::checkpoint::store::Store;
use pelton::checkpoint::store::object::ObjectStore;
use pelton::error::{Actor, Error};

use super::server::{BUCKET, Road, Server, Way};

/// Opens the checkpoints behind an address as the next engine would.
fn open(address: &str, prefix: &str) -> Result<ObjectStore, Error> {
    open_with(&format!("http://{address}"), prefix, &[("aws_allow_http", "true")])
}

fn open_with(endpoint: &str, prefix: &str, more: &[(&str, &str)]) -> Result<ObjectStore, Error> {
    let keys = [
        ("aws_endpoint", endpoint),
        ("aws_access_key_id", "key"),
        ("aws_secret_access_key", "secret"),
    ];
    ObjectStore::open(&format!("s3://{BUCKET}/{prefix}"), &[&keys, more].concat())
}

fn names(store: &ObjectStore) -> Vec<(String, u64)> {
    let mut names: Vec<_> =
        store.list().expect("listed").into_iter().map(|file| (file.name, file.bytes)).collect();
    names.sort();
    names
}

#[test]
fn objects_are_whole_or_absent() {
    let Some(server) = Server::start(false) else { return };
    let store = open(server.address(), "one").unwrap();
    store.put("a", &[b"one", b"", b"two"]).unwrap();
    store.put("a", &[b"replaced"]).unwrap();
    assert_eq!(store.get("a").unwrap(), b"replaced");
    // Three parts, and one cut across the pieces that it is given in.
    let large: Vec<u8> = (0..40_000_000_u32).map(|i| (i ^ (i >> 8)) as u8).collect();
    let (head, tail) = large.split_at(1_000_003);
    store.put("large", &[head, tail]).unwrap();
    assert!(store.get("large").unwrap() == large, "the large one comes back");
    open(server.address(), "one/below").unwrap().put("other", &[b"x"]).unwrap();
    let expected = [("a".to_owned(), 8), ("large".to_owned(), 40_000_000)];
    assert_eq!(names(&store), expected, "neither the owner nor what lies below");
    let written_ms = store.list().unwrap()[0].written_ms;
    assert!((pelton::checkpoint::cut::now_ms() - written_ms).abs() < 600_000, "{written_ms}");
    store.delete("a").unwrap();
    store.delete("a").unwrap();
    let gone = store.get("a").unwrap_err();
    assert!(matches!(&gone, Error::File { path, .. } if path.ends_with("one/a")), "{gone:?}");
    assert_eq!(names(&store), expected[1..]);
}

#[test]
fn an_upload_that_fails_leaves_nothing_behind() {
    let Some(server) = Server::start(false) else { return };
    let road = Road::to(&server);
    let store = open(road.address(), "torn").unwrap();
    let large = vec![7; 40_000_000];
    road.set(Way::Forbids("partNumber=2"));
    let error = store.put("large", &[&large]).unwrap_err();
    assert_eq!(error.actor(), Actor::Outside, "{error:?}");
    assert_eq!(names(&store), []);
    let uploads = server.ask("GET", "?uploads");
    assert!(!uploads.contains("<UploadId>"), "parts were left: {uploads}");
    road.set(Way::Open);
    store.put("large", &[&large]).unwrap();
    assert_eq!(names(&store), [("large".to_owned(), 40_000_000)]);
}

#[test]
fn a_server_that_is_away_is_an_error_and_is_found_again() {
    let Some(server) = Server::start(false) else { return };
    let road = Road::to(&server);
    let endpoint = format!("http://{}", road.address());
    let soon = [("aws_allow_http", "true"), ("timeout", "200ms")];
    let store = open_with(&endpoint, "away", &soon).unwrap();
    store.put("a", &[b"1"]).unwrap();
    for way in [Way::Closed, Way::Silent] {
        road.set(way.clone());
        for error in [store.put("b", &[b"2"]).unwrap_err(), store.get("a").unwrap_err()] {
            assert_eq!(error.actor(), Actor::Outside, "{way:?}: {error:?}");
        }
        assert!(open_with(&endpoint, "away", &soon).is_err());
        road.set(Way::Open);
        store.put("b", &[b"2"]).unwrap();
        assert_eq!(store.get("a").unwrap(), b"1");
    }
}

#[test]
fn the_newest_engine_is_the_only_owner() {
    let Some(server) = Server::start(false) else { return };
    let first = open(server.address(), "owned").unwrap();
    first.put("a", &[b"1"]).unwrap();
    let second = open(server.address(), "owned").unwrap();
    let replaced = first.put("b", &[b"2"]).unwrap_err();
    assert!(matches!(replaced, Error::Replaced { .. }), "{replaced:?}");
    assert_eq!(replaced.actor(), Actor::User);
    second.put("b", &[b"2"]).unwrap();
    assert_eq!(first.get("a").unwrap(), b"1", "reading is everyone's");
    let opened: Vec<_> = std::thread::scope(|scope| {
        let open = || open(server.address(), "owned");
        let threads: Vec<_> = (0..6).map(|_| scope.spawn(open)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let owners = opened.iter().flatten().filter(|store| store.put("c", &[b"3"]).is_ok()).count();
    assert_eq!(owners, 1, "{opened:?}");
    assert!(second.put("b", &[b"2"]).is_err());
}

#[test]
fn tls_is_spoken_and_an_unknown_certificate_refused() {
    let Some(server) = Server::start(true) else { return };
    let endpoint = format!("https://{}", server.address());
    let trusting = [("aws_allow_invalid_certificates", "true"), ("timeout", "5s")];
    // The bucket is not there, which only the server can know.
    let error = open_with(&endpoint, "tls", &trusting).unwrap_err();
    assert!(chain(&error).contains("NoSuchBucket"), "{}", chain(&error));
    let error = open_with(&endpoint, "tls", &[("timeout", "5s")]).unwrap_err();
    assert!(chain(&error).contains("certificate"), "{}", chain(&error));
}

fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

#[test]
fn what_cannot_be_opened_is_the_users_to_fix() {
    for url in ["ftp://bucket/a", "s3:///a", "az://container/a"] {
        let error = ObjectStore::open(url, &[]).unwrap_err();
        assert_eq!(error.actor(), Actor::User, "{url}: {error:?}");
    }
}
